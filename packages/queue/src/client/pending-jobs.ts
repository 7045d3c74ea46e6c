import type { ReplyMessage } from "../contract/replies.ts";
import { laneOfJobId } from "../contract/lane.ts";
import { decodeValue } from "../wire/decode.ts";
import { openOutcome } from "../wire/outcome.ts";
import type { Outcome } from "../wire/outcome.ts";
import type { RemoteTask } from "./remote-task.ts";
import type { Submission } from "./submission.ts";

/** A reply that tells a job's end. */
export type OutcomeMessage = Extract<ReplyMessage, { readonly outcome: Outcome }>;

/** How a job ended, and what came before. */
type Ending = Omit<OutcomeMessage, "id">;

/** The jobs that somebody in this process waits for, from their submission to their end. */
export class PendingJobs {
  readonly #byId = new Map<string, Submission>();

  get(id: string): Submission | undefined {
    return this.#byId.get(id);
  }

  all(): Submission[] {
    return [...this.#byId.values()];
  }

  /** Whether it waits still: it has not ended, and has not become another job. */
  holds(submission: Submission): boolean {
    return this.#byId.get(submission.id) === submission;
  }

  add(submission: Submission): void {
    this.#byId.set(submission.id, submission);
    for (const task of submission.tasks) task.taken();
  }

  /** Lets a submission wait for the same job as one that is pending already; false when there is none. */
  join(submission: Submission): boolean {
    const pending = this.#byId.get(submission.id);
    if (pending === undefined || pending === submission) return false;
    pending.tasks.push(...submission.tasks);
    for (const task of submission.tasks) task.taken();
    if (submission.expiry !== undefined) pending.expiry ??= submission.expiry;
    submission.joined = pending;
    return true;
  }

  /** The submission whose job this one's waiters wait for now; undefined when that has ended. */
  current(submission: Submission): Submission | undefined {
    let current = submission;
    while (current.joined !== undefined) current = current.joined;
    return this.holds(current) ? current : undefined;
  }

  /** A submission turned out to be a job that is there already: who waits for it waits for that one. */
  become(submission: Submission, id: string): void {
    if (!this.holds(submission)) return;
    this.#byId.delete(submission.id);
    for (const task of submission.tasks) task.become(id);
    submission.id = id;
    submission.lane = laneOfJobId(id) ?? submission.lane;
    if (!this.join(submission)) this.add(submission);
  }

  /** The engine has confirmed them. */
  confirm(submissions: readonly Submission[]): void {
    const now = performance.now();
    for (const submission of submissions) {
      submission.addedAt = now;
      tellSent(submission);
    }
  }

  /** Ends when the engine has confirmed a job, with true; or when it has ended without that, with false. */
  async confirmed(id: string): Promise<boolean> {
    const submission = this.#byId.get(id);
    if (submission === undefined) return false;
    if (submission.addedAt !== undefined) return true;
    return await new Promise((resolve) => (submission.onSent ??= []).push(resolve));
  }

  progress(submission: Submission, encoded: unknown): void {
    submission.heard = encoded;
    for (const task of submission.tasks) task.reportProgress(decodeValue(encoded));
  }

  /** A job's end is known. */
  settle(submission: Submission, { outcome, attempts, progress }: Ending): void {
    if (!this.holds(submission)) return;
    for (const task of submission.tasks) task.attempts = attempts;
    // The last value comes before the end, also when the message with it was lost or is late.
    if (progress != null && JSON.stringify(progress) !== JSON.stringify(submission.heard))
      this.progress(submission, progress);
    const expiry = outcome.state === "cancelled" ? submission.expiry : undefined;
    this.end(submission, expiry === undefined ? openOutcome(outcome) : { error: expiry });
  }

  fail(submissions: readonly Submission[], error: unknown): void {
    for (const submission of submissions) this.end(submission, { error });
  }

  end(submission: Submission, result: { readonly value: unknown } | { readonly error: unknown }): void {
    if (!this.holds(submission)) return;
    this.#byId.delete(submission.id);
    tellSent(submission);
    for (const task of submission.tasks) {
      if ("error" in result) task.fail(result.error);
      else task.succeed(result.value);
    }
  }

  tasks(): RemoteTask<unknown>[] {
    return this.all().flatMap(({ tasks }) => tasks);
  }
}

function tellSent(submission: Submission): void {
  for (const tell of submission.onSent ?? []) tell(submission.addedAt !== undefined);
  delete submission.onSent;
}
