import { Job } from "bullmq";
import type { JobJson, ParentKeyOpts, Queue } from "bullmq";
import { SqliteError } from "@taskloom/bullmq-sqlite";
import type { SqliteQueueBackend } from "@taskloom/bullmq-sqlite";
import { MAX_CLAIMED } from "../../contract/lane-driver.ts";
import type { ClaimTerms, LaneDriver, LaneTurns, RunEnd, TurnAnswer } from "../../contract/lane-driver.ts";
import type { NewJob } from "../../contract/lane-queue.ts";
import { asError } from "../../as-error.ts";
import { deliveryCall } from "./journal/sqlite-journal.ts";

/** The greatest number of ends of one operation. The thread stores about two such operations in one transaction. */
const MAX_ENDS = 250;

/** The turns of a lane on the embedded database: each is one operation of its thread. */
export class SqliteTurns implements LaneTurns {
  readonly backend: SqliteQueueBackend;

  constructor(backend: SqliteQueueBackend) {
    this.backend = backend;
  }

  /** A job that was claimed while the worker waited is taken alone: it is here, and the others are in the thread. */
  get claimLimit(): number {
    return this.backend.hasAwaitedJob ? 1 : MAX_CLAIMED;
  }

  turn(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    return ends.length <= MAX_ENDS ? this.#turn(ends, claim) : this.#turnInParts(ends, claim);
  }

  /** Runs a turn in one operation, which also delivers its ends to durable runs. */
  #turn(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    if (ends.every(({ delivery }) => delivery === undefined)) return this.backend.turn(ends, claim);
    const delivering = ends.map((end) =>
      end.delivery === undefined ? end : { ...end, call: deliveryCall(end.delivery) },
    );
    return this.backend.turn(delivering, claim).then(({ callErrors, ...answer }) => ({
      ...answer,
      delivered: ends.map(
        ({ delivery }, at) =>
          delivery !== undefined && answer.refusals[at] === undefined && callErrors?.[at] === undefined,
      ),
    }));
  }

  /** Runs the operations of a large turn. All of them leave at once, and the last one claims. */
  async #turnInParts(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    const parts = Array.from({ length: Math.ceil(ends.length / MAX_ENDS) }, (_, at) =>
      ends.slice(at * MAX_ENDS, (at + 1) * MAX_ENDS),
    );
    const last = parts.length - 1;
    const running = parts.map((part, at) => this.#turn(part, at === last ? claim : undefined));
    const answers = await Promise.allSettled(running);
    if (answers.every(({ status }) => status === "rejected")) await running[0]; // Throws: nothing was stored.
    const refusals: (Error | undefined)[] = [];
    const delivered: boolean[] = [];
    let claimed: Omit<TurnAnswer, "refusals" | "delivered"> = { jobs: [], limitedFor: 0, nextDue: 0 };
    for (const [at, answer] of answers.entries()) {
      const part = parts[at]!;
      if (answer.status === "fulfilled") {
        refusals.push(...answer.value.refusals);
        delivered.push(...part.map((_, place) => answer.value.delivered?.[place] === true));
        if (at === last) claimed = answer.value;
      } else {
        const error = asError(answer.reason);
        for (const single of await this.#storeSingly(part, error)) {
          refusals.push(single.refusals[0]);
          delivered.push(single.delivered?.[0] === true);
        }
        if (at === last && claim !== undefined) claimed = { ...claimed, claimFailure: error };
      }
    }
    return { ...claimed, refusals, delivered };
  }

  /** Stores the ends of an operation that failed, so that an end that cannot be stored is refused alone. */
  async #storeSingly(
    ends: readonly RunEnd[],
    error: Error,
  ): Promise<readonly Pick<TurnAnswer, "refusals" | "delivered">[]> {
    // A full disk, for instance, refuses all of them. The worker repeats them.
    if (!isCausedByOneJob(error)) return ends.map(() => ({ refusals: [error] }));
    const single = async (end: RunEnd): Promise<Pick<TurnAnswer, "refusals" | "delivered">> => {
      try {
        return await this.#turn([end], undefined);
      } catch (refusal) {
        return { refusals: [asError(refusal)] };
      }
    };
    return await Promise.all(ends.map(single));
  }
}

/**
 * The driver of a lane on the embedded database: each call is one operation of its thread, and the calls of one turn of the
 * event loop are one transaction.
 */
export class SqliteDriver extends SqliteTurns implements LaneDriver {
  readonly #queue: Queue;

  /** @param queue BullMQ's queue of the lane, with the backend of this class; its options are the defaults of the jobs. */
  constructor(queue: Queue, backend: SqliteQueueBackend) {
    super(backend);
    this.#queue = queue;
  }

  async add(jobs: readonly NewJob[]): Promise<(string | Error)[]> {
    const answers: (string | Error)[] = [];
    const entries: Entry[] = [];
    for (const [at, job] of jobs.entries()) {
      try {
        entries.push(this.#entryOf(at, job));
      } catch (error) {
        answers[at] = asError(error); // BullMQ rejects its options.
      }
    }
    const ids = entries.length === 0 ? [] : await this.#addAll(entries);
    for (const [index, { at }] of entries.entries()) answers[at] = ids[index]!;
    return answers;
  }

  #entryOf(at: number, { name, data, opts }: NewJob): Entry {
    const queue = this.#queue;
    const made = new Job(queue, name, data, { ...queue.jobsOpts, ...opts }, opts.jobId);
    const { jobData, jobId } = made.toFlowEntry();
    const { parentKey } = made;
    return { at, job: jobData, jobId, parentKeyOpts: parentKey === undefined ? {} : { parentKey } };
  }

  /**
   * Adds jobs in one operation. If one of them is refused, none was added, and each is added by its own operation.
   */
  async #addAll(entries: readonly Entry[]): Promise<(string | Error)[]> {
    try {
      return await this.backend.addJobs([...entries]);
    } catch (error) {
      if (!isCausedByOneJob(error)) throw error;
    }
    return await Promise.all(entries.map((entry) => this.#addSingle(entry)));
  }

  async #addSingle({ job, jobId, parentKeyOpts }: Entry): Promise<string | Error> {
    try {
      return await this.backend.addJob(job, jobId, parentKeyOpts);
    } catch (error) {
      return asError(error);
    }
  }
}

interface Entry {
  /** The place of the job among the added ones. */
  readonly at: number;
  readonly job: JobJson;
  readonly jobId: string;
  readonly parentKeyOpts: ParentKeyOpts;
}

/** Returns whether an operation failed by BullMQ's rules, or because a column cannot store the values of one of its jobs. */
function isCausedByOneJob(error: unknown): boolean {
  return !(error instanceof SqliteError) || error.code === "SQLITE_ERROR";
}
