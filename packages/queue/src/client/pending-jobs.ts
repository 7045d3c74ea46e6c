import type { ReplyMessage } from "../contract/replies.ts";
import { decodeValue } from "../wire/decode.ts";
import { openOutcome } from "../wire/outcome.ts";
import type { OpenedOutcome, Outcome } from "../wire/outcome.ts";
import type { RemoteTask } from "./remote-task.ts";
import { ENDED, storedNow } from "./submission.ts";
import type { Submission } from "./submission.ts";

/** A reply that carries the outcome of a job. */
export type OutcomeMessage = Extract<ReplyMessage, { readonly outcome: Outcome }>;

/** The end of a job: its outcome, its attempts and its last progress. */
type Ending = Omit<OutcomeMessage, "id">;

/** The jobs for which tasks of this process wait, from their submission to their end. */
export class PendingJobs {
  readonly #byId = new Map<string, Submission>();

  get(id: string): Submission | undefined {
    return this.#byId.get(id);
  }

  all(): Submission[] {
    return [...this.#byId.values()];
  }

  tasks(): RemoteTask<unknown>[] {
    return this.all().flatMap(({ tasks }) => tasks);
  }

  /** Whether a submission is pending: it has neither ended nor joined another one. */
  holds(submission: Submission): boolean {
    return this.#byId.get(submission.id) === submission;
  }

  add(submission: Submission): void {
    this.#byId.set(submission.id, submission);
    for (const task of submission.tasks) task.taken();
  }

  /** Moves the waiters of a submission to the pending one of the same job. Returns false if there is none. */
  join(submission: Submission): boolean {
    const pending = this.#byId.get(submission.id);
    if (pending === undefined || pending === submission) return false;
    pending.tasks.push(...submission.tasks);
    for (const task of submission.tasks) task.taken();
    if (submission.expiry !== undefined) pending.expiry ??= submission.expiry;
    submission.change({ kind: "joined", into: pending });
    return true;
  }

  /** Returns the submission that has the waiters of this one now, or undefined if that has ended. */
  current(submission: Submission): Submission | undefined {
    let current = submission;
    while (current.state.kind === "joined") current = current.state.into;
    return this.holds(current) ? current : undefined;
  }

  /** Has the waiters of a submission wait for another job, which the submission turned out to be. */
  rebind(submission: Submission, id: string): void {
    if (!this.holds(submission)) return;
    this.#byId.delete(submission.id);
    submission.rebind(id);
    if (!this.join(submission)) this.add(submission);
  }

  /** Stores that the engine has confirmed submissions. */
  confirm(submissions: readonly Submission[]): void {
    const stored = storedNow();
    for (const submission of submissions) submission.change(stored);
  }

  /** Notifies the waiters of progress. */
  progress(submission: Submission, encoded: unknown): void {
    submission.lastProgress = encoded;
    for (const task of submission.tasks) task.reportProgress(decodeValue(encoded));
  }

  /** Ends a submission with the outcome of its job. */
  settle(submission: Submission, { outcome, attempts, progress }: Ending): void {
    if (!this.holds(submission)) return;
    for (const task of submission.tasks) task.attempts = attempts;
    // Waiters receive the last progress before the end, even if its own message was lost or is late.
    if (progress != null && JSON.stringify(progress) !== JSON.stringify(submission.lastProgress))
      this.progress(submission, progress);
    const expiry = outcome.state === "cancelled" ? submission.expiry : undefined;
    this.end(submission, expiry === undefined ? openOutcome(outcome) : { error: expiry });
  }

  /**
   * Fails a submission whose queue is closed, while its job goes on. Waiters receive the error. Without one, no error is
   * reported that was never retrieved: to close a queue behind a submission that nobody waits for loses nothing.
   */
  abandon(submission: Submission, error: unknown): void {
    for (const task of submission.tasks) task.disregard();
    this.end(submission, { error });
  }

  fail(submissions: readonly Submission[], error: unknown): void {
    for (const submission of submissions) this.end(submission, { error });
  }

  end(submission: Submission, result: OpenedOutcome): void {
    if (!this.holds(submission)) return;
    this.#byId.delete(submission.id);
    submission.change(ENDED);
    for (const task of submission.tasks) {
      if ("error" in result) task.fail(result.error);
      else task.succeed(result.value);
    }
  }
}
