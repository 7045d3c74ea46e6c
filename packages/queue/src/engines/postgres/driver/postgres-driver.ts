import { quoteSchemaName } from "bullmq";
import type { MinimalJob, Queue } from "bullmq";
import type { ClaimTerms, LaneDriver, RunEnd, TurnAnswer } from "../../../contract/lane-driver.ts";
import type { NewJob } from "../../../contract/lane-queue.ts";
import type { Row } from "../../sql/rows.ts";
import type { SqlSession } from "./sql-session.ts";
import { addedColumns, addedJob } from "./added-columns.ts";
import type { AddedJob } from "./added-columns.ts";
import { claimedOfRow } from "./claimed-row.ts";
import { deliveryColumns, endColumns } from "./end-columns.ts";
import { partsOf } from "./parts.ts";
import { addRefusal, endRefusal, isCausedByOneJob } from "./refusal.ts";
import { asError } from "../../../as-error.ts";

export interface PostgresDriverOptions {
  /** A pool or a connection that never repeats a statement: a turn that was stored must not be stored again. */
  readonly pool: SqlSession;
  /** The schema of BullMQ's tables, in which `installFunctions` has installed ours. */
  readonly schema: string;
  /** The lane. Only its name and its default options are used. */
  readonly queue: Queue;
  /** The rate limit of the worker, beside the one of the queue; `duration` is in milliseconds. */
  readonly limiter?: { readonly max: number; readonly duration: number } | undefined;
  /** The number of points that the metrics keep; no metrics are stored without it. */
  readonly maxMetricsSize?: number | undefined;
  /**
   * The start of the channels of the owners of durable runs, if the functions of the journal are installed, too. Without it,
   * no turn delivers.
   */
  readonly deliverChannel?: string | undefined;
  /** Returns the time, in milliseconds of the epoch. The default is `Date.now`. */
  readonly now?: () => number;
}

/**
 * The driver of a lane on BullMQ's tables in PostgreSQL: each call is one statement and one commit.
 *
 * @remarks
 * A call with more than 500 jobs or 4 MB is split into several statements. A statement that fails because of one job's data
 * is rolled back whole; its jobs are then stored one by one, so only that job is refused. No statement is ever repeated for
 * another reason: {@link postgresTransient} says whether the caller can do so.
 */
export class PostgresDriver implements LaneDriver {
  readonly #pool: SqlSession;
  readonly #queue: Queue;
  readonly #limiter: PostgresDriverOptions["limiter"];
  readonly #maxMetricsSize: number | undefined;
  readonly #now: () => number;
  readonly #turnText: string;
  readonly #deliverChannel: string | undefined;
  readonly #deliveringText: string;
  readonly #addText: string;

  constructor({
    pool,
    schema,
    queue,
    limiter,
    maxMetricsSize,
    deliverChannel,
    now = () => Date.now(),
  }: PostgresDriverOptions) {
    this.#pool = pool;
    this.#queue = queue;
    this.#limiter = limiter;
    this.#maxMetricsSize = maxMetricsSize;
    this.#now = now;
    const quoted = quoteSchemaName(schema);
    this.#turnText = `SELECT * FROM ${quoted}.taskloom_turn_v1(${placeholders(19)})`;
    this.#deliverChannel = deliverChannel;
    // The claim depends on the row of the ends, so it is executed behind them.
    this.#deliveringText = `SELECT turn.*, ended.end_codes, ended.delivered
      FROM ${quoted}.taskloom_run_end_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $16, $20, $21, $22, $23, $24, $25) AS ended
        CROSS JOIN LATERAL ${quoted}.taskloom_turn_v1($1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
          $12, ended.claim, $14, $15, $16, $17, $18, $19) AS turn`;
    this.#addText = `SELECT * FROM ${quoted}.taskloom_add_v1(${placeholders(15)})`;
  }

  async add(jobs: readonly NewJob[]): Promise<(string | Error)[]> {
    const answers: (string | Error)[] = [];
    const places: { readonly at: number; readonly job: AddedJob }[] = [];
    for (const [at, job] of jobs.entries()) {
      try {
        places.push({ at, job: addedJob(this.#queue, job) });
      } catch (error) {
        answers[at] = asError(error);
      }
    }
    for (const part of partsOf(places, ({ job }) => job.json.data.length + job.opts.length)) {
      const ids = await this.#addPart(part.map(({ job }) => job));
      for (const [index, { at }] of part.entries()) answers[at] = ids[index]!;
    }
    return answers;
  }

  /** Adds jobs in one statement, or each in its own if one of them cannot be added. */
  async #addPart(jobs: readonly AddedJob[]): Promise<(string | Error)[]> {
    try {
      const { rows } = await this.#pool.query(this.#addText, [this.#queue.name, ...addedColumns(jobs)]);
      return addedOf(rows[0]!, jobs);
    } catch (error) {
      if (!isCausedByOneJob(error)) throw error;
      if (jobs.length === 1) return [asError(error)];
    }
    const answers: (string | Error)[] = [];
    for (const job of jobs) answers.push(...(await this.#addPart([job])));
    return answers;
  }

  async turn(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    const removing = ends.filter(({ keep }) => keep === true);
    if (removing.length === 0) return await this.#turn(ends, claim);
    // BullMQ's own command removes a job that ends. No job of Taskloom does.
    const removed = new Map<RunEnd, Error | undefined>();
    for (const end of removing) removed.set(end, await this.#remove(end));
    const rest = ends.filter((end) => !removed.has(end));
    const answer = await this.#turn(rest, claim);
    const places = new Map(rest.map((end, at) => [end, at]));
    return {
      ...answer,
      refusals: ends.map((end) => (removed.has(end) ? removed.get(end) : answer.refusals[places.get(end)!])),
      delivered: ends.map((end) => answer.delivered?.[places.get(end) ?? -1] === true),
    };
  }

  /** Stores the end of a job that is removed at its end, and returns the error with which BullMQ refuses that. */
  async #remove({ id, token, outcome, text, stacktrace, opts }: RunEnd): Promise<Error | undefined> {
    const job = { id, opts } as MinimalJob; // BullMQ's backends read nothing else of it.
    const { backend } = this.#queue;
    try {
      if (outcome === "completed") await backend.moveToCompleted(job, JSON.parse(text), true, token, false);
      else await backend.moveToFailed(job, text, true, token, false, { failedReason: text, stacktrace });
      return undefined;
    } catch (error) {
      return asError(error);
    }
  }

  async #turn(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    const parts = partsOf(ends, sizeOfEnd);
    if (parts.length === 0) parts.push([]);
    if (parts.length === 1) return await this.#turnPart(parts[0]!, claim);
    const refusals: (Error | undefined)[] = [];
    const delivered: boolean[] = [];
    let answer: TurnAnswer = NOTHING;
    for (const [at, part] of parts.entries()) {
      const isLast = at === parts.length - 1;
      try {
        answer = await this.#turnPart(part, isLast ? claim : undefined);
        refusals.push(...answer.refusals);
        delivered.push(...(answer.delivered ?? part.map(() => false)));
      } catch (error) {
        // Ends of an earlier statement are stored, so the whole turn must not fail.
        if (at === 0) throw error;
        while (refusals.length < ends.length) refusals.push(asError(error));
        const claimFailure = claim === undefined ? undefined : asError(error);
        return { ...NOTHING, refusals, delivered, claimFailure };
      }
    }
    return { ...answer, refusals, delivered };
  }

  /** Runs a turn in one statement, or each end in its own if the data of one of them cannot be stored. */
  async #turnPart(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    try {
      return await this.#turnStatement(ends, claim);
    } catch (error) {
      if (ends.length === 0 || !isCausedByOneJob(error)) throw error;
    }
    const refusals: (Error | undefined)[] = [];
    const delivered: boolean[] = [];
    for (const end of ends) {
      const alone = await this.#endAlone(end);
      refusals.push(alone.refusals[0]);
      delivered.push(alone.delivered?.[0] === true);
    }
    try {
      return { ...(await this.#turnStatement([], claim)), refusals, delivered };
    } catch (error) {
      return { ...NOTHING, refusals, delivered, claimFailure: asError(error) };
    }
  }

  /** Stores one end; the error with which the database refuses it is in the answer. */
  async #endAlone(end: RunEnd): Promise<TurnAnswer> {
    try {
      return await this.#turnStatement([end], undefined);
    } catch (error) {
      return { ...NOTHING, refusals: [asError(error)] };
    }
  }

  async #turnStatement(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    if (ends.length === 0 && claim === undefined) return NOTHING;
    const params = [
      this.#queue.name,
      ...endColumns(ends),
      this.#maxMetricsSize ?? null,
      claim?.count ?? 0,
      claim?.token ?? null,
      claim?.lockDuration ?? null,
      this.#now(),
      claim?.workerName ?? null,
      this.#limiter?.max ?? null,
      this.#limiter?.duration ?? null,
    ];
    const isDelivering =
      this.#deliverChannel !== undefined && ends.some(({ delivery }) => delivery !== undefined);
    if (!isDelivering) return answerOf((await this.#pool.query(this.#turnText, params)).rows, ends);
    params.push(...deliveryColumns(ends), this.#deliverChannel);
    const { rows } = await this.#pool.query(this.#deliveringText, params);
    return deliveringAnswerOf(rows, ends);
  }
}

function sizeOfEnd({ text, stacktrace, delivery }: RunEnd): number {
  return text.length + (stacktrace?.length ?? 0) + (delivery?.item.length ?? 0);
}

/** The answer to a turn without ends that claims nothing. */
const NOTHING: TurnAnswer = { refusals: [], jobs: [], limitedFor: 0, nextDue: 0 };

/** Returns the answer of the rows of a turn: the jobs, and then one row without a job. */
function answerOf(
  rows: readonly Row[],
  ends: readonly RunEnd[],
  codes: readonly number[] = rows.at(-1)!["codes"] as readonly number[],
): TurnAnswer {
  const summary = rows.at(-1)!;
  return {
    refusals: ends.map(({ id }, index) => (codes[index] === 0 ? undefined : endRefusal(codes[index]!, id))),
    jobs: rows.slice(0, -1).map(claimedOfRow),
    limitedFor: Number(summary["limited_for"]),
    nextDue: Number(summary["next_due"]),
  };
}

/** Returns the answer of the rows of a turn with deliveries, each of which also has the answers to the ends. */
function deliveringAnswerOf(rows: readonly Row[], ends: readonly RunEnd[]): TurnAnswer {
  const row = rows.at(-1)!;
  const delivered = new Set(row["delivered"] as readonly number[]);
  return {
    ...answerOf(rows, ends, row["end_codes"] as readonly number[]),
    delivered: ends.map((_, at) => delivered.has(at + 1)),
  };
}

function addedOf(row: Row, jobs: readonly AddedJob[]): (string | Error)[] {
  const ids = row["ids"] as readonly string[];
  const codes = row["codes"] as readonly number[];
  return jobs.map(({ parentKey }, index) =>
    codes[index] === 0 ? ids[index]! : addRefusal(codes[index]!, parentKey),
  );
}

function placeholders(count: number): string {
  return Array.from({ length: count }, (_, index) => `$${index + 1}`).join(", ");
}
