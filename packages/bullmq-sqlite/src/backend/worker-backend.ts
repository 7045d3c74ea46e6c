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
