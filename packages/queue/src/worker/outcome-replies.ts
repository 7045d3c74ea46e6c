import { replyAddress } from "../contract/replies.ts";
import type { Engine } from "../contract/engine.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { outcomeOfResult } from "../wire/outcome.ts";
import type { Outcome } from "../wire/outcome.ts";

/** Tells the processes that wait how their jobs of one lane ended. */
export class OutcomeReplies {
  readonly #engine: Engine;
  readonly #laneName: string;
  readonly #lane: Lane;
  /** Whether a job's reply went behind its end, for those of which it was tried. */
  readonly #wentBehind = new WeakMap<BullJob, Promise<boolean>>();

  constructor(engine: Engine, laneName: string, lane: Lane) {
    this.#engine = engine;
    this.#laneName = laneName;
    this.#lane = lane;
  }

  /**
   * Sends the reply right behind the end that BullMQ is about to store: a round trip earlier than {@link ended}, and
   * dearer, so it is for a worker that has time.
   */
  sendBehind(job: BullJob, result: unknown): void {
    const { replies } = this.#engine;
    const { reply } = job.data;
    if (reply === undefined || replies.sendBehind === undefined) return;
    const run = {
      laneName: this.#laneName,
      id: job.id!,
      attemptsStarted: job.attemptsStarted,
    };
    const message = this.#message(job, outcomeOfResult(result), job.attemptsMade + 1);
    const sent = Promise.withResolvers<boolean>();
    this.#wentBehind.set(job, sent.promise);
    // Only microtasks lie between here and the command that stores the end, and a tick comes after them all.
    process.nextTick(() => sent.resolve(replies.sendBehind?.(reply, message, run) ?? false));
  }

  /** The end of a job is stored. */
  ended(job: BullJob, outcome: Outcome): void {
    const reply = replyAddress(job.data, this.#engine.replies);
    if (reply === undefined) return;
    const send = (): void => this.#engine.replies.send(reply, this.#message(job, outcome, job.attemptsMade));
    const wentBehind = this.#wentBehind.get(job);
    if (wentBehind === undefined) send();
    else wentBehind.then((did) => (did ? undefined : send()), send);
  }

  #message(job: BullJob, outcome: Outcome, attempts: number): Parameters<Engine["replies"]["send"]>[1] {
    const id = publicId(this.#lane, job.id!);
    const { progress } = job;
    // 0 is BullMQ's word for none.
    return progress === 0 ? { id, outcome, attempts } : { id, outcome, attempts, progress };
  }
}
