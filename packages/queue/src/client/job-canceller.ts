import { randomUUID } from "node:crypto";
import { CancelledError } from "@taskloom/loop";
import { cancelStored } from "../operate/cancel.ts";
import { outcomeOf } from "../wire/outcome.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import { isKeepable } from "./kept-submissions.ts";
import type { KeptSubmissions } from "./kept-submissions.ts";
import type { PendingJobs } from "./pending-jobs.ts";
import type { Submission } from "./submission.ts";

/** The pauses between the attempts to cancel a job. Most cancels need one attempt, a run that is retried needs two. */
const CANCEL_PAUSES_MS = [100, 200, 400, 1_000];
/** The pause before a job is cancelled whose command is on its way to the engine. */
const SENDING_PAUSE_MS = 5;

/** The canceller's side of the protocol that `engines/redis/cancel-script.ts` describes. */
export class JobCanceller {
  readonly #queues: LaneQueues;
  readonly #pending: PendingJobs;
  readonly #kept: KeptSubmissions;

  constructor(queues: LaneQueues, pending: PendingJobs, kept: KeptSubmissions) {
    this.#queues = queues;
    this.#pending = pending;
    this.#kept = kept;
  }

  /**
   * Cancels a pending job in any state, and repeats this until its end is stored. If the submission is folded into
   * another one in between, the job of that one is cancelled.
   */
  async cancel(asked: Submission, reason: string): Promise<void> {
    const key = `c:${randomUUID()}`;
    for (let attempt = 0; ; attempt++) {
      // After the end of this submission, another one can be pending under a chosen id. That one is not cancelled.
      const submission = this.#pending.current(asked);
      if (submission === undefined) return;
      const error = submission.expiry ?? (reason === "" ? new CancelledError() : new CancelledError(reason));
      if (submission.state.kind === "unsent") return this.#pending.end(submission, { error });
      const { isStored } = submission;
      if (isStored) {
        try {
          const result = await cancelStored(this.#queues, submission.lane, submission.id, reason, key);
          if (result === "delivered") return; // OutcomeWatch receives the end of the run.
          if (result === "ended") await this.#checkAfterCancel(submission, error);
        } catch {
          // The engine does not answer. The cancel is repeated until it does.
        }
      }
      if (this.#pending.current(asked) === undefined) return;
      const pause = isStored
        ? CANCEL_PAUSES_MS[Math.min(attempt, CANCEL_PAUSES_MS.length - 1)]!
        : SENDING_PAUSE_MS;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async #checkAfterCancel(submission: Submission, cancelled: Error): Promise<void> {
    const [stored] = await this.#queues.lookup(submission.lane, [submission.id]);
    if (stored === undefined || stored.kind === "pending") return;
    if (stored.kind === "missing") {
      // A kept submission has no record. If it cannot be dropped any more, it may just have become a job.
      if (isKeepable(submission) && !(await this.#kept.drop(submission))) {
        const [again] = await this.#queues.lookup(submission.lane, [submission.id]);
        if (again?.kind !== "missing") return;
      }
      return this.#pending.end(submission, { error: cancelled });
    }
    this.#pending.settle(submission, { ...stored, outcome: outcomeOf(stored.record) });
  }
}
