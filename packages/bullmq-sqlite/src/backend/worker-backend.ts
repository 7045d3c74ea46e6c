import type {
  KeepJobs,
  MinimalJob,
  MoveToDelayedOpts,
  MoveToWaitingChildrenOpts,
  RetryJobOpts,
} from "bullmq";
import type { End } from "../operations/finish.ts";
import type { ConnectionSettings } from "./connection.ts";
import { DEFAULT_STALLED_INTERVAL_MS } from "./options.ts";
import type { BackendOptions } from "./options.ts";
import { ReadingBackend } from "./reading-backend.ts";
import { claimOf, endOf, failureOf } from "./runs.ts";
import type { Retention } from "./runs.ts";
import { turnAnswerOf, turnClaimOf, turnEndOf } from "./turn.ts";
import type { ClaimTerms, RunEnd, TurnAnswer } from "./turn.ts";

/** The methods of a backend that a worker calls: it takes a job, holds its lock, and stores the end of its run. */
export class WorkerBackend extends ReadingBackend {
  protected readonly options: BackendOptions;

  constructor(settings: ConnectionSettings, options: BackendOptions) {
    super(settings);
    this.options = options;
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ's own signature
  async moveToActive(token: string, name?: string): Promise<any[]> {
    const awaited = this.jobs.take(token);
    if (awaited !== undefined) return awaited;
    return await this.operations.run("moveToActive", this.qualifiedName, claimOf(this.options, token, name));
  }

  /** Whether a job was claimed for this worker while it waited, which the next claim receives without the thread. */
  get hasAwaitedJob(): boolean {
    return this.jobs.hasAnswer;
  }

  /**
   * Stores the ends of runs, and then claims jobs, in one operation: it does the work of many calls of `moveToCompleted`,
   * `moveToFailed` and `moveToActive` for less, and with the same results. Each end can be refused alone. Both parts are
   * optional. A job that was claimed while the worker waited is the first of the claimed jobs; if no end is stored and no
   * further job is wanted, it is returned without a message to the database thread.
   *
   * @throws {@link SqliteError} if nothing was stored.
   *
   * @example
   * ```ts
   * import { mkdtemp } from "node:fs/promises";
   * import { tmpdir } from "node:os";
   * import { Queue } from "bullmq";
   * import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
   *
   * const connection = { path: `${await mkdtemp(`${tmpdir()}/bullmq-`)}/jobs.sqlite` };
   * const queue = new Queue("paint", { connection }, createSqliteBackend);
   * await queue.addBulk([{ name: "cars", data: {} }, { name: "bikes", data: {} }]);
   *
   * const { backend } = queue;
   * const { jobs } = await backend.turn([], { count: 10, token: "worker-1:1" });
   * const ends = jobs.map(({ id, record }) => ({
   *   id,
   *   token: "worker-1:1",
   *   outcome: "completed" as const,
   *   text: JSON.stringify(`painted ${record.name}`),
   *   finishedOn: Date.now(),
   *   keep: { count: 100 },
   * }));
   * const { refusals } = await backend.turn(ends, { count: 10, token: "worker-1:2" });
   * console.log(refusals); // [ undefined, undefined ]
   * await queue.close();
   * ```
   */
  async turn(ends: readonly RunEnd[], claim: ClaimTerms | undefined): Promise<TurnAnswer> {
    const awaited = claim === undefined ? undefined : this.jobs.take(claim.token);
    const [job = null, , limitedFor = 0] = awaited ?? [];
    const before = job === null ? [] : [job];
    // A rate limit that ended the wait lets no further job run, either.
    const next =
      claim === undefined || limitedFor > 0
        ? undefined
        : turnClaimOf(this.options, claim, claim.count - before.length);
    if (ends.length === 0 && next === undefined)
      return turnAnswerOf(ends, before, { codes: [], failedCalls: [], jobs: [], limitedFor, nextDue: 0 });
    const sent = ends.map((end) => turnEndOf(this.options, end));
    try {
      const done = await this.operations.run("turn", this.qualifiedName, sent, next);
      return turnAnswerOf(ends, before, limitedFor > 0 ? { ...done, limitedFor } : done);
    } catch (error) {
      if (before.length === 0 || !(error instanceof Error)) throw error;
      // The worker has to run the job that is claimed already.
      const answer = turnAnswerOf([], before, {
        codes: [],
        failedCalls: [],
        jobs: [],
        limitedFor: 0,
        nextDue: 0,
      });
      return { ...answer, refusals: ends.map(() => error), ...(next && { claimFailure: error }) };
    }
  }

  /** @param blockTimeout in seconds. */
  async waitForJob(blockTimeout: number): Promise<{ member: string; score: number } | null> {
    const { options } = this;
    if (this.operations.isOver) return null;
    const isReady = await this.jobs.wait(Math.max(blockTimeout, 0) * 1_000, (token) =>
      claimOf(options, token, options.name),
    );
    return isReady ? { member: this.qualifiedName, score: 0 } : null;
  }

  async moveToCompleted<T = unknown, R = unknown, N extends string = string>(
    job: MinimalJob<T, R, N>,
    returnValue: R,
    removeOnComplete: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
    // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ's own signature
  ): Promise<{ result: void | any[]; finishedOn: number }> {
    const id = job.id!;
    const end = this.#endOf(id, token, removeOnComplete ?? this.options.removeOnComplete, fetchNext);
    const result = await this.operations.runOrRefuse(
      { command: "moveToFinished", jobId: id, state: "active" },
      "moveToCompleted",
      this.qualifiedName,
      end,
      JSON.stringify(returnValue === undefined ? null : returnValue),
    );
    return { result, finishedOn: end.finishedOn };
  }

  /** Returns the end of a run. A backend that is closed takes no next job. */
  #endOf(id: string, token: string, retention: Retention, fetchNext: boolean): End {
    return endOf(this.options, id, token, retention, fetchNext && this.closing === undefined);
  }

  async moveToFailed<T = unknown, R = unknown, N extends string = string>(
    job: MinimalJob<T, R, N>,
    failedReason: string,
    removeOnFail: boolean | number | KeepJobs,
    token: string,
    fetchNext: boolean,
    // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ's own signature
    fieldsToUpdate?: Record<string, any>,
    // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ's own signature
  ): Promise<{ result: void | any[]; finishedOn: number }> {
    const id = job.id!;
    const end = this.#endOf(id, token, removeOnFail ?? this.options.removeOnFail, fetchNext);
    const result = await this.operations.runOrRefuse(
      { command: "moveToFinished", jobId: id, state: "active" },
      "moveToFailed",
      this.qualifiedName,
      end,
      failedReason,
      failureOf(fieldsToUpdate).stacktrace,
    );
    return { result, finishedOn: end.finishedOn };
  }

  async moveToDelayed(
    jobId: string,
    timestamp: number,
    delay: number,
    token?: string,
    opts?: MoveToDelayedOpts,
    // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ's own signature
  ): Promise<void | any[]> {
    await this.operations.runOrRefuse(
      { command: "moveToDelayed", jobId, state: "active" },
      "moveToDelayed",
      this.qualifiedName,
      jobId,
      token ?? "",
      timestamp + delay,
      delay,
      opts?.skipAttempt ?? false,
      failureOf(opts?.fieldsToUpdate),
    );
    if (opts?.fetchNext !== true || this.closing !== undefined || token === undefined) return [];
    const next = await this.moveToActive(token, this.options.name);
    return next[0] === null ? [] : next;
  }

  async moveToWaitingChildren(
    jobId: string,
    token: string,
    _opts?: MoveToWaitingChildrenOpts,
  ): Promise<boolean> {
    return await this.operations.runOrRefuse(
      { command: "moveToWaitingChildren", jobId, state: "active" },
      "moveToWaitingChildren",
      this.qualifiedName,
      jobId,
      token,
    );
  }

  async moveJobFromActiveToWait(jobId: string, token = "0"): Promise<number> {
    return await this.operations.runOrRefuse(
      { command: "moveJobFromActiveToWait", jobId },
      "moveActiveToWait",
      this.qualifiedName,
      jobId,
      token,
      Date.now(),
    );
  }

  async retryJob(jobId: string, lifo: boolean, token?: string, opts?: RetryJobOpts): Promise<void> {
    await this.operations.runOrRefuse(
      { command: "retryJob", jobId, state: "active" },
      "retryJob",
      this.qualifiedName,
      jobId,
      token ?? "",
      lifo,
      failureOf(opts?.fieldsToUpdate),
    );
  }

  async moveStalledJobsToWait(): Promise<string[]> {
    const { maxStalledCount, stalledInterval } = this.options;
    return await this.operations.run(
      "moveStalledJobsToWait",
      this.qualifiedName,
      maxStalledCount ?? 1,
      Date.now(),
      stalledInterval ?? DEFAULT_STALLED_INTERVAL_MS,
    );
  }

  async extendLock(jobId: string, token: string, duration: number): Promise<number> {
    return (await this.extendLocks([jobId], [token], duration)).length === 0 ? 1 : 0;
  }

  async extendLocks(jobIds: string[], tokens: string[], duration: number): Promise<string[]> {
    return await this.operations.run(
      "extendLocks",
      this.qualifiedName,
      jobIds,
      tokens,
      Date.now() + duration,
    );
  }

  async setRateLimit(expireTimeMs: number): Promise<void> {
    await this.operations.run("setRateLimit", this.qualifiedName, Date.now() + expireTimeMs);
  }
}
