import type { KeptSubmission } from "../contract/stored-job.ts";
import { untilAnswered } from "../contract/transient.ts";
import type { Lane } from "../contract/lane.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import type { Submission } from "./submission.ts";

/** Whether the engine keeps the submission while a job of its key runs. */
export function isKeepable({ options }: Submission): boolean {
  return options.deduplication?.keepLastIfActive === true;
}

/**
 * Submissions with `keepLastIfActive`. While a job of their key runs, the engine keeps the last of them; it becomes a job
 * under its own id when that job has ended. So a submission of this kind is in one of four places:
 *
 * - It is a job.
 * - It is kept, and there is no record under its id yet.
 * - A later one was kept in its place. Its waiters wait for that one: nobody will ever run its own arguments.
 * - It was folded into a job that had not started. Its waiters wait for that job.
 */
export class KeptSubmissions {
  readonly #queues: LaneQueues;

  constructor(queues: LaneQueues) {
    this.#queues = queues;
  }

  /** The id under which a submission's outcome will be, which can be its own; undefined when no job is known for it. */
  async whereIs({ lane, id, options }: Submission): Promise<string | undefined> {
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
   * Adds submissions, and tells the waiters of kept ones that were replaced by that: they may live in other processes.
   *
   * @returns what `add` returned.
   */
  async addAndTell<T>(lane: Lane, submissions: readonly Submission[], add: () => Promise<T>): Promise<T> {
    const keys = new Set(submissions.filter(isKeepable).map(({ options }) => options.deduplication!.id));
    if (keys.size === 0) return await add();
    const before = await Promise.all(
      [...keys].map(async (key) => ({ key, kept: await this.#kept(lane, key) })),
    );
    const result = await add();
    for (const { key, kept } of before) {
      const last = submissions.findLast(({ options }) => options.deduplication?.id === key);
      // A message that is lost is made up for by the look at what is pending.
      if (kept !== undefined && last !== undefined) void this.#tell(kept, last).catch(() => {});
    }
    return result;
  }

  async #tell({ id, reply }: KeptSubmission, last: Submission): Promise<void> {
    if (reply === undefined || id === last.id) return;
    const place = await this.whereIs({ ...last, id });
    if (place !== undefined && place !== id) this.#queues.engine.replies.send(reply, { id, became: place });
  }

  /** Takes a kept submission back; false when it is not kept. */
  async drop({ lane, id, options }: Submission): Promise<boolean> {
    const { engine } = this.#queues;
    const key = options.deduplication!.id;
    return await engine.dropKept(this.#queues.nameOf(lane), key, id);
  }
}
