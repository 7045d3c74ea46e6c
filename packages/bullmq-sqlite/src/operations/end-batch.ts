import { COMPLETED, FAILED } from "../schema/states.ts";
import { Refusal } from "../store/store.ts";
import type { Store } from "../store/store.ts";
import { moveToCompleted, moveToFailed, publishIfIdle, retain } from "./finish.ts";
import type { End, Keep } from "./finish.ts";
import { collectMetrics } from "./metrics.ts";
import type { UserCall } from "./user-function.ts";

/** The end of a run among the ends of a turn. */
export interface TurnEnd extends Omit<End, "next"> {
  readonly outcome: "completed" | "failed";
  /** The result as a JSON text, or the message of the failure. */
  readonly text: string;
  /** The stacktraces of a failed job as a JSON text; null leaves those of earlier attempts. */
  readonly stacktrace: string | null;
  /** A user's function that runs behind the ends of the turn, if this end is stored. */
  readonly call?: UserCall | undefined;
}

/** The jobs that end without consequences for other jobs, and whose locks have the token of their end. */
const PLAIN = "q = ? AND id = ? AND state = 1 AND lock_token = ? AND parent_id IS NULL AND dedup_id IS NULL";
const WITHOUT_CHILDREN = "NOT EXISTS (SELECT 1 FROM child WHERE parent = job.pk AND status IN (0, 3))";
const UNLOCKED = "lock_token = NULL, locked_until = NULL, owner = NULL, attempts_made = attempts_made + 1";

const COMPLETE = `UPDATE job SET state = ${COMPLETED}, return_value = ?, finished = ?, ${UNLOCKED} WHERE ${PLAIN} AND ${WITHOUT_CHILDREN}`;
const REMOVE_COMPLETED = `DELETE FROM job WHERE ${PLAIN} AND ${WITHOUT_CHILDREN}`;
const RUNNING = `SELECT pk, attempts_made FROM job WHERE ${PLAIN}`;
const FAIL = `UPDATE job SET state = ${FAILED}, failed_reason = ?, stacktrace = coalesce(?, stacktrace), finished = ?, deferred_failure = NULL, ${UNLOCKED} WHERE pk = ?`;
const REMOVE = "DELETE FROM job WHERE pk = ?";

/**
 * Stores the ends of a turn one after the other, with the results of `moveToCompleted` and `moveToFailed`. A plain job takes
 * one statement: most jobs have no parent, no pending children and no deduplication. All other jobs, and all refusals, take
 * the path of a single end.
 *
 * Neighbours with the same retention share its statements. The result is the same as that of one retention after each end
 * while the times of the ends do not decrease: every job that a later retention removes is older than all ends before it.
 */
export class EndBatch {
  readonly #store: Store;
  readonly #queue: string;
  readonly #q: number | undefined;
  /** The last end whose retention has not run. */
  #kept: { readonly state: number; readonly keep: Keep; readonly finishedOn: number } | undefined;
  /** Whether the last stored end was plain, so that it is not known whether the queue is idle. */
  #isUnreported = false;

  constructor(store: Store, queue: string) {
    this.#store = store;
    this.#queue = queue;
    this.#q = store.find(queue);
  }

  /** Stores an end. Returns 0, or the code of BullMQ with which the end is refused. */
  add(end: TurnEnd): number {
    const state = end.outcome === "completed" ? COMPLETED : FAILED;
    if (!end.keep.removeAll && !this.#sharesRetention(state, end)) this.#retain();
    if (this.#q !== undefined && this.#addPlain(this.#q, state, end)) return 0;
    this.#retain();
    try {
      this.#addSingle({ ...end, next: undefined }, end);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error; // A refusal has changed nothing.
      return error.code;
    }
    this.#isUnreported = false;
    return 0;
  }

  /** Finishes the ends that were added. */
  finish(): void {
    this.#retain();
    if (!this.#isUnreported || this.#q === undefined) return;
    publishIfIdle(this.#store, this.#queue, this.#q);
    // A queue whose concurrency is limited has room for a worker that waits.
    if (this.#store.metaNumber(this.#q, "concurrency") !== undefined) this.#store.wake(this.#queue);
  }

  #addSingle(end: End, { outcome, text, stacktrace }: TurnEnd): void {
    if (outcome === "completed") moveToCompleted(this.#store, this.#queue, end, text);
    else moveToFailed(this.#store, this.#queue, end, text, stacktrace);
  }

  /** Returns false if the job is not plain, or the end is refused. */
  #addPlain(q: number, state: number, end: TurnEnd): boolean {
    const isStored = state === COMPLETED ? this.#complete(q, end) : this.#fail(q, end);
    if (!isStored) return false;
    const { keep, finishedOn, metrics, outcome } = end;
    if (!keep.removeAll) this.#kept = { state, keep, finishedOn };
    if (metrics !== undefined) collectMetrics(this.#store, q, outcome, metrics, finishedOn);
    this.#isUnreported = true;
    return true;
  }

  #complete(q: number, { id, token, text, keep, finishedOn }: TurnEnd): boolean {
    const changes = keep.removeAll
      ? this.#store.run(REMOVE_COMPLETED, q, id, token)
      : this.#store.run(COMPLETE, text, finishedOn, q, id, token);
    if (changes === 0) return false;
    this.#store.publish(this.#queue, "completed", { jobId: id, returnvalue: text, prev: "active" });
    return true;
  }

  #fail(q: number, { id, token, text, stacktrace, keep, finishedOn }: TurnEnd): boolean {
    const row = this.#store.get(RUNNING, q, id, token);
    if (row === undefined) return false;
    const pk = Number(row["pk"]);
    if (keep.removeAll) this.#store.run(REMOVE, pk);
    else this.#store.run(FAIL, text, stacktrace, finishedOn, pk);
    this.#store.publish(this.#queue, "failed", { jobId: id, failedReason: text, prev: "active" });
    const attemptsMade = Number(row["attempts_made"]) + 1;
    this.#store.publish(this.#queue, "retries-exhausted", { jobId: id, attemptsMade });
    return true;
  }

  #sharesRetention(state: number, { keep, finishedOn }: TurnEnd): boolean {
    const kept = this.#kept;
    return (
      kept !== undefined &&
      kept.state === state &&
      kept.keep.age === keep.age &&
      kept.keep.count === keep.count &&
      kept.finishedOn <= finishedOn
    );
  }

  #retain(): void {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept === undefined || this.#q === undefined) return;
    retain(this.#store, this.#q, kept.state, kept.keep, kept.finishedOn);
  }
}
