import { setTimeout as delay } from "node:timers/promises";
import type { IQueueBackend } from "bullmq";
import { pauseBeforeRepeat } from "../contract/transient.ts";

/** The time after which an idle worker looks for jobs without news of any, in seconds. BullMQ's own. */
const LONGEST_WAIT_S = 5;
/** The longest wait for a delayed job on an engine that names none, in seconds. BullMQ's own. */
const LONGEST_WAIT_FOR_DUE_S = 10;
/**
 * The time for which an idle worker leaves a due job to other workers, in milliseconds: a job that it has put back itself,
 * and any other job for a while after it has put one back. A worker that knows all tasks never waits.
 */
const LEFT_TO_OTHERS_MS = { own: 100, any: 40 };
/** A wait that has not ended so long after its time is given up, in milliseconds. BullMQ's own limit is one second. */
const HUNG_MS = 3_000;
/** The pause before the same due job is asked for again, in seconds. */
const PAUSE_FOR_CLOCK_S = 1;
/** The time for which a put-back is remembered. */
const PUT_BACK_MEMORY_MS = 5_000;

/** The waits of one idle worker for jobs, on the connection that its backend keeps for them. */
export class JobWait {
  readonly #backend: IQueueBackend;
  readonly #onError: (error: unknown) => void;
  /** The times at which jobs are due that this worker has put back. */
  #leftToOthers: number[] = [];
  #failures = 0;
  /** The last due time that ended a wait. */
  #lastDue = 0;
  #isOver = false;

  constructor(backend: IQueueBackend, onError: (error: unknown) => void) {
    this.#backend = backend;
    this.#onError = onError;
  }

  /** Lets other workers take a job first that this worker has put back and that is due at `time`. */
  leaveToOthers(time: number): void {
    this.#leftToOthers = [...this.#recent(), time];
  }

  #recent(): number[] {
    const now = Date.now();
    return this.#leftToOthers.filter((due) => due + PUT_BACK_MEMORY_MS > now);
  }

  /**
   * Resolves when the worker should look for jobs: one was added, a delayed one is due, or nothing happened for a while.
   *
   * @param nextDue the time at which the next delayed job is due, in milliseconds of the epoch; 0 if there is none.
   */
  async news(nextDue: number): Promise<void> {
    let due = nextDue;
    for (;;) {
      const seconds = this.#patience(due);
      if (this.#isOver || seconds <= 0) return await this.#leaveDueJobs();
      try {
        const added = await this.#waitFor(seconds);
        this.#failures = 0;
        if (added === null) return await this.#leaveDueJobs();
        // The news can be of a delayed job, with the time at which it is due.
        if (added.score <= Date.now() + 1) return;
        due = due > 0 ? Math.min(due, added.score) : added.score;
      } catch (error) {
        if (this.#isOver) return;
        await this.#recover(error);
        return;
      }
    }
  }

  /**
   * Waits on the connection. While a cluster replaces a node, the reset of its connection may never end, and with it the wait;
   * the worker then looks for jobs as if nothing had come.
   */
  async #waitFor(seconds: number): ReturnType<IQueueBackend["waitForJob"]> {
    const { promise, resolve } = Promise.withResolvers<null>();
    const timer = setTimeout(resolve, seconds * 1_000 + HUNG_MS, null);
    const waiting = this.#backend.waitForJob(seconds);
    waiting.catch(() => {}); // It may fail after it was given up.
    try {
      return await Promise.race([waiting, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Returns the longest time to wait, in seconds. */
  #patience(due: number): number {
    const { minimumBlockTimeout, maximumBlockTimeout = LONGEST_WAIT_FOR_DUE_S } = this.#backend;
    if (due === 0) return Math.max(LONGEST_WAIT_S, minimumBlockTimeout);
    const seconds = (due - Date.now()) / 1_000;
    if (seconds > 0) return Math.min(Math.max(seconds, minimumBlockTimeout), maximumBlockTimeout);
    // A job that is due by this clock and not by the engine's must not be asked for without a pause.
    if (due === this.#lastDue) return PAUSE_FOR_CLOCK_S;
    this.#lastDue = due;
    return 0;
  }

  async #recover(error: unknown): Promise<void> {
    this.#onError(error);
    try {
      await this.#backend.reconnectBlocking();
    } catch (failure) {
      this.#onError(failure);
    }
    if (!this.#isOver) await delay(pauseBeforeRepeat(++this.#failures));
  }

  /**
   * Waits for a moment if a job is due that this worker may have put back. All idle workers wake at that time, and a worker
   * that does not know the task would be as quick as one that does.
   */
  async #leaveDueJobs(): Promise<void> {
    const recent = this.#recent();
    if (recent.length === 0) return;
    const now = Date.now();
    const isOwn = recent.some((due) => due <= now + 1 && due + LEFT_TO_OTHERS_MS.own > now);
    await delay(isOwn ? LEFT_TO_OTHERS_MS.own : LEFT_TO_OTHERS_MS.any);
  }

  /** Ends the current wait and all further ones. */
  async end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#backend.disconnectBlocking();
  }
}
