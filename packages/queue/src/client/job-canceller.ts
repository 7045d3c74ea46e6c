import { CancelledError } from "@taskloom/loop";
import { cancelStored } from "../operate/cancel.ts";
import { outcomeOf } from "../wire/outcome.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import { isKeepable } from "./kept-submissions.ts";
import type { KeptSubmissions } from "./kept-submissions.ts";
import type { PendingJobs } from "./pending-jobs.ts";
import type { Submission } from "./submission.ts";

/** The pauses between a canceller's tries: most cancels need one, a retry just going into back-off needs two. */
const cancelPauses = [100, 200, 400, 1_000];
/** How soon a cancel looks again at a job that is on its way to the engine. */
const sendingPause = 5;

/** The canceller's side of the protocol described in `engines/redis/cancel-script.ts`. */
export class JobCanceller {
  readonly #queues: LaneQueues;
  readonly #pending: PendingJobs;
  readonly #kept: KeptSubmissions;
  readonly #retract: (submission: Submission) => boolean;

  /** `retract` takes a submission back that was not sent yet. */
  constructor(
    queues: LaneQueues,
    pending: PendingJobs,
    kept: KeptSubmissions,
    retract: (submission: Submission) => boolean,
  ) {
    this.#queues = queues;
    this.#pending = pending;
    this.#kept = kept;
    this.#retract = retract;
  }

  /**
   * Cancels a pending job in whichever state it is, and tries until its end is stored. A submission that is folded into
   * another meanwhile has that one's job cancelled.
   */
  async cancel(asked: Submission, reason: string): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      // Once this one has ended, another may be pending under an id that was chosen; that one is not meant.
      const submission = this.#pending.current(asked);
      if (submission === undefined) return;
      const error = submission.expiry ?? (reason === "" ? new CancelledError() : new CancelledError(reason));
      if (submission.addedAt === undefined && this.#retract(submission))
        return this.#pending.end(submission, { error });
      if (submission.addedAt !== undefined) {
        try {
          if (await cancelStored(this.#queues, submission.lane, submission.id, reason))
            await this.#lookAfterCancel(submission, error);
        } catch {
          // The engine does not answer; it is asked again until it does, as everything that is pending is.
        }
      }
      if (this.#pending.current(asked) === undefined) return;
      const pause =
        submission.addedAt === undefined
          ? sendingPause
          : cancelPauses[Math.min(attempt, cancelPauses.length - 1)]!;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async #lookAfterCancel(submission: Submission, cancelled: Error): Promise<void> {
    const [stored] = await this.#queues.lookup(submission.lane, [submission.id]);
    if (stored === undefined || stored.kind === "pending") return;
    if (stored.kind === "missing") {
      // A kept submission has no record. One that can no longer be dropped may have become a job just now.
      if (isKeepable(submission) && !(await this.#kept.drop(submission))) {
        const [again] = await this.#queues.lookup(submission.lane, [submission.id]);
        if (again?.kind !== "missing") return;
      }
      return this.#pending.end(submission, { error: cancelled });
    }
    this.#pending.settle(submission, { ...stored, outcome: outcomeOf(stored.record) });
  }
}
