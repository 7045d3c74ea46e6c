import { setTimeout as delay } from "node:timers/promises";
import { Job } from "bullmq";
import { pauseBeforeRepeat, untilAnswered } from "../contract/transient.ts";
import type { Transient } from "../contract/transient.ts";
import type { ClaimedJob } from "./claimed-job.ts";
import type { LaneSource } from "./lane-source.ts";
import { asError } from "../as-error.ts";

/** Receives the ends of jobs: BullMQ's events `completed` and `failed`. */
interface Listeners {
  emit(event: "completed" | "failed", job: ClaimedJob, value: unknown): unknown;
}

/** Stores the ends of runs, and repeats that until the engine has them. */
export class EndStore {
  readonly #source: LaneSource;
  readonly #transient: (error: unknown) => Transient | undefined;
  readonly #onRefusal: (error: Error) => void;
  /** Whether the worker is closed and no longer tries to store ends that the engine refuses. */
  #gaveUp = false;

  constructor(
    source: LaneSource,
    transient: (error: unknown) => Transient | undefined,
    onRefusal: (error: Error) => void,
  ) {
    this.#source = source;
    this.#transient = transient;
    this.#onRefusal = onRefusal;
  }

  /** Repeats no more ends. */
  giveUp(): void {
    this.#gaveUp = true;
  }

  /**
   * Stores an end under the job's lock, and repeats that while the engine refuses it for now. Returns whether the caller
   * has to notify the listeners of it; if an earlier command, whose answer was lost, has stored the end, they are notified
   * here.
   *
   * @param first the refusal of a first try that the caller has made.
   * @throws the refusal, if it is final.
   */
  async untilStored(
    job: ClaimedJob,
    error: Error | undefined,
    listeners: Listeners,
    store: () => Promise<void>,
    first?: unknown,
  ): Promise<boolean> {
    let mayBeStored = false;
    for (let times = 1; ; times++) {
      // After a lost answer the stored state is read first, because the engine refuses an end that is stored already. The
      // next attempt of the job has another token, so a repeated end cannot end the wrong run.
      if (mayBeStored && (await this.#wasStored(job, error, listeners))) return false;
      try {
        if (times === 1 && first !== undefined) throw first;
        await store();
        return true;
      } catch (refusal) {
        const reason = this.#transient(refusal);
        if (reason === undefined) {
          if (times > 1 && (await this.#wasStored(job, error, listeners))) return false;
          throw refusal;
        }
        mayBeStored ||= reason === "cut";
        this.#onRefusal(asError(refusal));
        if (this.#gaveUp) return false;
      }
      await delay(pauseBeforeRepeat(times));
    }
  }

  /** Returns whether the end of this run is stored. If so, the listeners are notified as if the answer had come. */
  async #wasStored(job: ClaimedJob, error: Error | undefined, listeners: Listeners): Promise<boolean> {
    const stored = await untilAnswered(
      { transient: this.#transient },
      () => Job.fromId(this.#source, job.id),
      () => !this.#gaveUp,
    ).catch(() => undefined);
    if (stored === undefined || stored.attemptsMade <= job.attemptsMade) return false;
    const { finishedOn, returnvalue, attemptsStarted } = stored;
    const wasStartedAgain = attemptsStarted !== job.attemptsStarted;
    // A completed job is not retried. A failed one may have been, by this worker or another, and may have ended since.
    if (wasStartedAgain && error === undefined) return false;
    const hasEnded = finishedOn !== undefined && !wasStartedAgain;
    job.attemptsMade++;
    if (hasEnded) Object.assign(job, { finishedOn, returnvalue });
    if (hasEnded && returnvalue !== null) listeners.emit("completed", job, returnvalue);
    else listeners.emit("failed", job, error ?? new Error(stored.failedReason));
    return true;
  }
}
