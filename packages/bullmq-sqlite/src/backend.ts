import type {
  FinishedStatus,
  IQueueBackend,
  JobJson,
  JobProgress,
  JobsOptions,
  MinimalJob,
  ParentKeyOpts,
  RepeatableOptions,
  RetryOptions,
} from "bullmq";
import { newJob } from "./backend/new-job.ts";
import { WorkerBackend } from "./backend/worker-backend.ts";
import { HAS_ACTIVE, NOT_PAUSED } from "./operations/refusals.ts";

/**
 * BullMQ's queue operations on a SQLite database, made by {@link createSqliteBackend}. BullMQ's Queue, Worker,
 * FlowProducer and QueueEvents call it.
 *
 * A method translates BullMQ's arguments and results, and an operation of the same or a similar name does the work on the
 * database thread. `IQueueBackend` has about a hundred methods, so they are in four classes that extend each other: the
 * connection, the methods that read, the methods of a worker, and here the methods that add and change jobs.
 */
export class SqliteQueueBackend extends WorkerBackend implements IQueueBackend {
  forQueue(queueName: string): IQueueBackend {
    return new SqliteQueueBackend(this.settingsFor(queueName), this.options);
  }

  async addJob(job: JobJson, jobId: string, parentKeyOpts: ParentKeyOpts = {}): Promise<string> {
    const added = newJob(this.qualifiedName, job, jobId, parentKeyOpts);
    const parentKey = added.parentKey ?? undefined;
    return await this.operations.runOrRefuse(
      { command: "addJob", jobId, ...(parentKey === undefined ? {} : { parentKey }) },
      "addJob",
      {
        ...added,
        waitsForChildren: false,
      },
    );
  }

  async addJobs(
    entries: { job: JobJson; jobId: string; parentKeyOpts?: ParentKeyOpts }[],
  ): Promise<string[]> {
    const jobs = entries.map(({ job, jobId, parentKeyOpts }) =>
      newJob(this.qualifiedName, job, jobId, parentKeyOpts),
    );
    return await this.operations.runOrRefuse({ command: "addJobs" }, "addJobs", jobs);
  }

  async addFlow(
    entries: {
      jobData: JobJson;
      jobId: string;
      parentKeyOpts: ParentKeyOpts;
      prefix: string;
      queueName: string;
    }[],
  ): Promise<[Error | null, string | number][]> {
    try {
      const ids = await this.operations.run(
        "addFlow",
        entries.map(({ queueName, jobData, jobId, parentKeyOpts }) =>
          newJob(queueName, jobData, jobId, parentKeyOpts),
        ),
      );
      return ids.map((id) => [null, id]);
    } catch (error) {
      return entries.map(() => [asError(error), 0]); // None of the jobs was added.
    }
  }

  async retryFinishedJob<T = unknown, R = unknown, N extends string = string>(
    job: MinimalJob<T, R, N>,
    state: "failed" | "completed",
    opts: RetryOptions = {},
  ): Promise<void> {
    await this.operations.runOrRefuse(
      { command: "reprocessJob", jobId: job.id!, state },
      "reprocessJob",
      this.qualifiedName,
      job.id!,
      state,
      job.opts?.lifo ?? false,
      opts.resetAttemptsMade ?? false,
      opts.resetAttemptsStarted ?? false,
    );
  }

  async promote(jobId: string): Promise<void> {
    await this.operations.runOrRefuse(
      { command: "promote", jobId, state: "delayed" },
      "promote",
      this.qualifiedName,
      jobId,
    );
  }

  async retryFinishedJobs(
    state: FinishedStatus = "failed",
    count = 1_000,
    timestamp?: number,
  ): Promise<number> {
    return await this.operations.run(
      "retryFinishedJobs",
      this.qualifiedName,
      state,
      count,
      timestamp ?? null,
    );
  }

  async promoteJobs(count = 1_000): Promise<number> {
    return await this.operations.run("promoteJobs", this.qualifiedName, count);
  }

  async pause(pause: boolean): Promise<void> {
    await this.operations.run("pause", this.qualifiedName, pause);
  }

  async drain(delayed: boolean): Promise<void> {
    await this.operations.run("drain", this.qualifiedName, delayed, Date.now());
  }

  async cleanJobsByState(state: string, timestamp: number, limit = 0): Promise<string[]> {
    return await this.operations.run("clean", this.qualifiedName, state, timestamp, limit, Date.now());
  }

  async obliterate(opts: { force: boolean; count: number }): Promise<number> {
    const left = await this.operations.run("obliterate", this.qualifiedName, opts.count, opts.force);
    if (left === NOT_PAUSED) throw new Error("Cannot obliterate non-paused queue");
    if (left === HAS_ACTIVE) throw new Error("Cannot obliterate queue with active jobs");
    return left;
  }

  /** Removes nothing: a job is one row with its state, so no data can exist without a state. */
  async removeOrphanedJobs(): Promise<number> {
    return 0;
  }

  async updateData<T = unknown, R = unknown, N extends string = string>(
    job: MinimalJob<T, R, N>,
    data: T,
  ): Promise<void> {
    const id = job.id!;
    await this.operations.runOrRefuse(
      { command: "updateData", jobId: id },
      "updateData",
      this.qualifiedName,
      id,
      JSON.stringify(data ?? {}),
    );
  }

  async updateProgress(jobId: string, progress: JobProgress): Promise<void> {
    const text = JSON.stringify(progress ?? null);
    await this.operations.runOrRefuse(
      { command: "updateProgress", jobId },
      "updateProgress",
      this.qualifiedName,
      jobId,
      text,
    );
  }

  async addLog(jobId: string, logRow: string, keepLogs?: number): Promise<number> {
    return await this.operations.runOrRefuse(
      { command: "addLog", jobId },
      "addLog",
      this.qualifiedName,
      jobId,
      logRow,
      keepLogs,
    );
  }

  async clearLogs(jobId: string, keepLogs?: number): Promise<void> {
    await this.operations.run("clearLogs", this.qualifiedName, jobId, keepLogs);
  }

  async changeDelay(jobId: string, delay: number): Promise<void> {
    await this.operations.runOrRefuse(
      { command: "changeDelay", jobId, state: "delayed" },
      "changeDelay",
      this.qualifiedName,
      jobId,
      delay,
      Date.now(),
    );
  }

  async changePriority(jobId: string, priority = 0, lifo = false): Promise<void> {
    await this.operations.runOrRefuse(
      { command: "changePriority", jobId },
      "changePriority",
      this.qualifiedName,
      jobId,
      priority,
      lifo,
    );
  }

  async remove(jobId: string, removeChildren: boolean): Promise<number> {
    return await this.operations.runOrRefuse(
      { command: "remove", jobId },
      "remove",
      this.qualifiedName,
      jobId,
      removeChildren,
      Date.now(),
    );
  }

  async removeUnprocessedChildren(jobId: string): Promise<void> {
    await this.operations.run("removeUnprocessedChildren", this.qualifiedName, jobId);
  }

  async removeChildDependency(jobId: string, parentKey: string): Promise<boolean> {
    return await this.operations.runOrRefuse(
      { command: "removeChildDependency", jobId, parentKey },
      "removeChildDependency",
      this.qualifiedName,
      jobId,
      Date.now(),
    );
  }

  async removeDeduplicationKey(deduplicationId: string, jobId: string): Promise<number> {
    return await this.operations.run("removeKey", this.qualifiedName, deduplicationId, jobId, Date.now());
  }

  async deleteDeduplicationKey(deduplicationId: string): Promise<number> {
    return await this.operations.run("removeKey", this.qualifiedName, deduplicationId, undefined, Date.now());
  }

  async addJobScheduler(
    jobSchedulerId: string,
    nextMillis: number,
    templateData: string,
    templateOpts: JobsOptions,
    opts: RepeatableOptions,
    delayedJobOpts: JobsOptions,
    _producerId?: string,
  ): Promise<[string, number]> {
    return await this.operations.runOrRefuse(
      { command: "addJobScheduler" },
      "addJobScheduler",
      this.qualifiedName,
      jobSchedulerId,
      nextMillis ?? null,
      templateData || "{}",
      JSON.stringify(templateOpts ?? {}),
      opts,
      delayedJobOpts,
      Date.now(),
    );
  }

  async updateJobSchedulerNextMillis(
    jobSchedulerId: string,
    nextMillis: number,
    templateData: string,
    delayedJobOpts: JobsOptions,
    producerId?: string,
  ): Promise<string | null> {
    return await this.operations.run(
      "updateJobScheduler",
      this.qualifiedName,
      jobSchedulerId,
      nextMillis ?? null,
      templateData || "{}",
      delayedJobOpts,
      Date.now(),
      producerId ?? null,
    );
  }

  async removeJobScheduler(jobSchedulerId: string): Promise<number> {
    return (await this.operations.run("removeJobScheduler", this.qualifiedName, jobSchedulerId)) ? 0 : 1;
  }

  async setQueueMeta(values: Record<string, string | number>): Promise<number> {
    const texts = Object.fromEntries(Object.entries(values).map(([field, value]) => [field, String(value)]));
    return Object.keys(texts).length === 0
      ? 0
      : await this.operations.run("setMeta", this.qualifiedName, texts);
  }

  async removeQueueMetaFields(fields: string[]): Promise<number> {
    return fields.length === 0 ? 0 : await this.operations.run("removeMeta", this.qualifiedName, fields);
  }

  async removeRateLimitKey(): Promise<number> {
    return await this.operations.run("removeRateLimit", this.qualifiedName);
  }

  /** Removes nothing, because SQLite never had such a key. */
  async removeDeprecatedPriorityKey(): Promise<number> {
    return 0;
  }

  async trimEvents(maxLength: number): Promise<number> {
    return await this.operations.run("trimEvents", this.qualifiedName, maxLength);
  }

  async publishEvent(fields: Record<string, string | number>, _maxEvents: number): Promise<string> {
    const { event, ...rest } = fields;
    return String(await this.operations.run("publishEvent", this.qualifiedName, String(event), rest));
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
