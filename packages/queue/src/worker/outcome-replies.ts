import { replyAddress } from "../contract/replies.ts";
import type { Engine } from "../contract/engine.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { outcomeOfResult } from "../wire/outcome.ts";
import type { Outcome } from "../wire/outcome.ts";

/** Sends the outcomes of one lane's jobs to the processes that wait for them. */
export class OutcomeReplies {
  readonly #engine: Engine;
  readonly #laneName: string;
  readonly #lane: Lane;
  /** The pending results of {@link sendBehind}, by job. */
  readonly #wentBehind = new WeakMap<BullJob, Promise<boolean>>();

  constructor(engine: Engine, laneName: string, lane: Lane) {
    this.#engine = engine;
    this.#laneName = laneName;
    this.#lane = lane;
  }

  /**
   * Sends the reply right behind the end that the lane's worker is about to store. It arrives a round trip earlier than that of
   * {@link onEnd} and costs more, so only a worker with nothing else to do calls this.
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
    // The command that stores the end follows within microtasks, and a tick comes after all of them.
    process.nextTick(() => sent.resolve(replies.sendBehind?.(reply, message, run) ?? false));
  }

  /** Sends the outcome of a job whose end is stored, unless {@link sendBehind} has sent it. */
  onEnd(job: BullJob, outcome: Outcome): void {
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
    // BullMQ stores 0 for a job without progress.
    return progress === 0 ? { id, outcome, attempts } : { id, outcome, attempts, progress };
  }
}
