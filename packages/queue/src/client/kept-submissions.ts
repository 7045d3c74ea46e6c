import type { KeptSubmission } from "../contract/stored-job.ts";
import { untilAnswered } from "../contract/transient.ts";
import type { Lane } from "../contract/lane.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import type { Submission } from "./submission.ts";

/** Whether the engine keeps a submission while a job of its key runs. */
export function isKeepable({ options }: Submission): boolean {
  return options.deduplication?.keepLastIfActive === true;
}

/**
 * Submissions with `keepLastIfActive`. While a job of a key runs, the engine keeps the last submission of the key. When
 * that job has ended, the kept submission becomes a job under its own id. Such a submission is in one of four places:
 *
 * - The submission is a job.
 * - The submission is kept, and has no record under its id yet.
 * - A later submission was kept instead. The waiters wait for that one, and the arguments of this one never run.
 * - The submission was folded into a job that had not started. The waiters wait for that job.
 */
export class KeptSubmissions {
  readonly #queues: LaneQueues;

  constructor(queues: LaneQueues) {
    this.#queues = queues;
  }

  /** Returns the id of the job that will have the outcome of a submission, or undefined if there is no such job. */
  async placeOf({
    lane,
    id,
    options,
  }: Pick<Submission, "lane" | "id" | "options">): Promise<string | undefined> {
    const key = options.deduplication!.id;
    const kept = await this.#kept(lane, key);
    if (kept !== undefined) return kept.id;
    const [own] = await this.#queues.lookup(lane, [id]);
    if (own?.kind !== "missing") return id;
    return (await this.#queues.lane(lane).getDeduplicationJobId(key)) ?? undefined;
  }

  async #kept(lane: Lane, key: string): Promise<KeptSubmission | undefined> {
    const { engine } = this.#queues;
    return await untilAnswered(engine, () => engine.findKept(this.#queues.nameOf(lane), key));
  }

  /**
   * Adds submissions by `add`, and notifies the waiters of kept submissions that were replaced by that, which can be in
   * other processes. Resolves with the result of `add`.
   */
  async addAndNotify<T>(lane: Lane, submissions: readonly Submission[], add: () => Promise<T>): Promise<T> {
    const keys = new Set(submissions.filter(isKeepable).map(({ options }) => options.deduplication!.id));
    if (keys.size === 0) return await add();
    const before = await Promise.all(
      [...keys].map(async (key) => ({ key, kept: await this.#kept(lane, key) })),
    );
    const result = await add();
    for (const { key, kept } of before) {
      const last = submissions.findLast(({ options }) => options.deduplication?.id === key);
      // If the message is lost, the waiters learn the new place from their next poll.
      if (kept !== undefined && last !== undefined) void this.#notify(kept, last).catch(() => {});
    }
    return result;
  }

  async #notify({ id, reply }: KeptSubmission, { id: lastId, lane, options }: Submission): Promise<void> {
    if (reply === undefined || id === lastId) return;
    const place = await this.placeOf({ lane, id, options });
    if (place !== undefined && place !== id) this.#queues.engine.replies.send(reply, { id, became: place });
  }

  /** Removes a kept submission from the engine. Resolves with false if it is not kept. */
  async drop({ lane, id, options }: Submission): Promise<boolean> {
    const { engine } = this.#queues;
    const key = options.deduplication!.id;
    return await engine.dropKept(this.#queues.nameOf(lane), key, id);
  }
}
