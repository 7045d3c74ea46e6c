import { EventEmitter } from "node:events";
import type {
  DependenciesOpts,
  FinishedStatus,
  IQueueBackend,
  JobJson,
  JobProgress,
  JobState,
  JobType,
  JobsOptions,
  KeepJobs,
  KeysMap,
  MinimalJob,
  MoveToDelayedOpts,
  MoveToWaitingChildrenOpts,
  ParentKeyOpts,
  QueueBaseOptions,
  RepeatableOptions,
  RetryJobOpts,
  RetryOptions,
  StreamReadRaw,
} from "bullmq";
import { Bell } from "./database/bell.ts";
import { RefusedError } from "./database/database.ts";
import type { Database } from "./database/database.ts";
import { bullmqError } from "./database/errors.ts";
import type { NewJob } from "./operations/add.ts";
import type { Claim } from "./operations/claim.ts";
import type { End, Keep } from "./operations/finish.ts";
import type { OperationArgs, OperationName, OperationResult } from "./operations/index.ts";
import type { ChildEntry } from "./operations/queries.ts";
import { FAILED_CHILD, IGNORED_CHILD, PENDING_CHILD, PROCESSED_CHILD } from "./schema/states.ts";

/** The options of a queue or a worker that the backend reads. */
interface BackendOptions extends QueueBaseOptions<never> {
  readonly name?: string;
  readonly lockDuration?: number;
  readonly maxStalledCount?: number;
  readonly stalledInterval?: number;
  readonly limiter?: { readonly max: number; readonly duration: number };
  readonly metrics?: { readonly maxDataPoints?: number };
  readonly removeOnComplete?: boolean | number | KeepJobs;
  readonly removeOnFail?: boolean | number | KeepJobs;
}

/** BullMQ's defaults, in milliseconds. */
const defaultLock = 30_000;
const defaultStalledInterval = 30_000;
/** How long a wait for events lasts unless BullMQ says otherwise; milliseconds. */
const eventWait = 5_000;

/** How BullMQ's retention option reads: true removes, a number keeps so many, an object keeps by age and number. */
function keepOf(option: boolean | number | KeepJobs | undefined): Keep {
  if (option === true) return { removeAll: true, age: null, count: null };
  if (typeof option === "number") return { removeAll: false, age: null, count: option };
  const { age, count }: Partial<{ age: number; count: number }> = typeof option === "object" ? option : {};
  return { removeAll: false, age: age ?? null, count: count ?? null };
}

/** The name of a client, and the number of its process. */
export interface ClientNames {
  set(backend: object, name: string): void;
  remove(backend: object): void;
  list(): string[];
}

/**
 * BullMQ's queue operations on a SQLite database. BullMQ's Queue, Worker, FlowProducer and QueueEvents call it; made by
 * {@link createSqliteBackend}.
 */
export class SqliteQueueBackend extends EventEmitter implements IQueueBackend {
  closing: Promise<void> | undefined;
  readonly minimumBlockTimeout = 0.001;
  readonly maximumBlockTimeout = 3_600;
  readonly keys: KeysMap = {};
  readonly qualifiedName: string;
  readonly #database: Database;
  readonly #names: ClientNames;
  readonly #options: BackendOptions;
  readonly #owns: boolean;
  readonly #jobsBell: Bell;
  readonly #eventsBell: Bell;
  readonly #clientName: string | undefined;
  #isInterrupted = false;
  #ready: Promise<void> | undefined;

  /** @param clientName the name by which BullMQ's `getWorkers` finds it; undefined for those that it does not list. */
  constructor(
    database: Database,
    names: ClientNames,
    queueName: string,
    options: QueueBaseOptions<never>,
    owns: boolean,
    clientName?: string,
  ) {
    super();
    this.#database = database;
    this.#names = names;
    this.qualifiedName = queueName;
    this.#options = options;
    this.#owns = owns;
    this.#clientName = clientName;
    this.#jobsBell = new Bell(database, queueName, "jobs");
    this.#eventsBell = new Bell(database, queueName, "events");
    if (!owns) return;
    database.on("error", this.#onError);
    database.on("close", this.#onClose);
  }

  readonly #onError = (error: Error): void => {
    if (this.listenerCount("error") > 0) this.emit("error", error);
  };
  readonly #onClose = (): void => {
    this.#jobsBell.cancel();
    this.#eventsBell.cancel();
    this.emit("close");
  };

  // --- the connection

  async waitUntilReady(): Promise<void> {
    this.#ready ??= this.#database.ready().then(() => {
      if (this.#clientName !== undefined) this.#names.set(this, this.#clientName);
      this.emit("ready");
    });
    return await this.#ready;
  }

  async close(): Promise<void> {
    if (!this.#owns) return;
    this.closing ??= this.#close();
    return await this.closing;
  }

  async #close(): Promise<void> {
    this.#names.remove(this);
    this.#jobsBell.cancel();
    this.#eventsBell.cancel();
    this.#database.off("error", this.#onError);
    this.#database.off("close", this.#onClose);
    await this.#database.close();
    this.emit("close");
  }

  /** The file is shared with others of this process: here only the waits end. */
  async disconnect(): Promise<void> {
    this.#jobsBell.cancel();
    this.#eventsBell.cancel();
  }

  async setName(name: string): Promise<void> {
    this.#names.set(this, name);
  }

  forQueue(queueName: string): IQueueBackend {
    return new SqliteQueueBackend(this.#database, this.#names, queueName, this.#options, false);
  }

  toKey(type: string): string {
    return `${this.qualifiedName}:${type}`;
  }

  parseNodeKey(key: string): { prefix: string; queueName: string; id: string } {
    const at = key.lastIndexOf(":");
    return { prefix: "", queueName: key.slice(0, at), id: key.slice(at + 1) };
  }

  clientName(suffix = ""): string {
    return `${this.qualifiedName}${suffix}`;
  }

  async getClientList(): Promise<string[]> {
    return [
      this.#names
        .list()
        .map((name) => `name=${name}`)
        .join("\n"),
    ];
  }

  // --- calls

  /** Calls an operation. A call that comes after `close()` never settles, as a command of a closed Redis client. */
  #call<N extends OperationName>(name: N, ...args: OperationArgs<N>): Promise<OperationResult<N>> {
    const { isClosing, ended } = this.#database;
    if (this.closing !== undefined && (isClosing || ended !== undefined)) return new Promise(() => {});
    return this.#database.call(name, ...args);
  }

  /** Calls an operation of this queue that BullMQ may refuse, and throws BullMQ's error then. */
  async #ask<N extends OperationName>(
    command: string,
    about: { readonly jobId?: string; readonly parentKey?: string; readonly state?: string },
    name: N,
    ...args: OperationArgs<N>
  ): Promise<OperationResult<N>> {
    try {
      return await this.#call(name, ...args);
    } catch (error) {
      if (error instanceof RefusedError) throw bullmqError({ code: error.code, command, ...about });
      throw error;
    }
  }

  // --- adding

  #newJob(queue: string, job: JobJson, jobId: string, parent: ParentKeyOpts = {}): NewJob {
    const opts = job.opts ?? {};
    return {
      queue,
      id: jobId === "" || jobId === undefined ? (job.id ?? "") : jobId,
      name: job.name,
      data: job.data ?? "{}",
      opts: (job.delay === undefined ? opts : { ...opts, delay: job.delay }) as NewJob["opts"],
      priority: job.priority ?? opts.priority ?? 0,
      delay: job.delay ?? opts.delay ?? 0,
      timestamp: job.timestamp ?? Date.now(),
      parentQueue: job.parent?.queueKey ?? null,
      parentId: job.parent?.id ?? null,
      parentKey: parent.parentKey ?? job.parentKey ?? null,
      dedupId: job.deduplicationId ?? null,
      schedulerId: job.repeatJobKey ?? null,
      lifo: opts.lifo ?? false,
      waitsForChildren: (parent as { addToWaitingChildren?: boolean }).addToWaitingChildren ?? false,
    };
  }

  async addJob(job: JobJson, jobId: string, parentKeyOpts: ParentKeyOpts = {}): Promise<string> {
    const added = this.#newJob(this.qualifiedName, job, jobId, parentKeyOpts);
    const parentKey = added.parentKey ?? undefined;
    return await this.#ask("addJob", { jobId, ...(parentKey === undefined ? {} : { parentKey }) }, "addJob", {
      ...added,
      waitsForChildren: false,
    });
  }

  async addJobs(
    entries: { job: JobJson; jobId: string; parentKeyOpts?: ParentKeyOpts }[],
  ): Promise<string[]> {
    const jobs = entries.map(({ job, jobId, parentKeyOpts }) =>
      this.#newJob(this.qualifiedName, job, jobId, parentKeyOpts),
    );
    return await this.#ask("addJobs", {}, "addJobs", jobs);
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
      const ids = await this.#call(
        "addFlow",
        entries.map(({ queueName, jobData, jobId, parentKeyOpts }) =>
          this.#newJob(queueName, jobData, jobId, parentKeyOpts),
        ),
      );
      return ids.map((id) => [null, id]);
    } catch (error) {
      return entries.map(() => [error as Error, 0]); // Nothing of it was added.
    }
  }

  // --- taking and ending

  #claim(token: string, name: string | undefined): Claim {
    const { lockDuration, limiter } = this.#options;
    return {
      token,
      lockDuration: lockDuration ?? defaultLock,
      now: Date.now(),
      workerName: name ?? null,
      limiterMax: limiter?.max ?? null,
      limiterDuration: limiter?.duration ?? null,
    };
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ's own signature
  async moveToActive(token: string, name?: string): Promise<any[]> {
    return await this.#call("moveToActive", this.qualifiedName, this.#claim(token, name));
  }

  #end(id: string, token: string, keep: Keep, fetchNext: boolean): End {
    return {
      id,
      token,
      finishedOn: Date.now(),
      keep,
      metrics: this.#options.metrics?.maxDataPoints,
      next: fetchNext && this.closing === undefined ? this.#claim(token, this.#options.name) : undefined,
    };
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
    const keep = keepOf(removeOnComplete ?? this.#options.removeOnComplete);
    const end = this.#end(id, token, keep, fetchNext);
    const result = await this.#ask(
      "moveToFinished",
      { jobId: id, state: "active" },
      "moveToCompleted",
      this.qualifiedName,
      end,
      JSON.stringify(returnValue === undefined ? null : returnValue),
    );
    return { result: result, finishedOn: end.finishedOn };
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
    const end = this.#end(id, token, keepOf(removeOnFail ?? this.#options.removeOnFail), fetchNext);
    const result = await this.#ask(
      "moveToFinished",
      { jobId: id, state: "active" },
      "moveToFailed",
      this.qualifiedName,
      end,
      failedReason,
      (fieldsToUpdate?.["stacktrace"] as string | undefined) ?? null,
    );
    return { result: result, finishedOn: end.finishedOn };
  }

  async moveToDelayed(
    jobId: string,
    timestamp: number,
    delay: number,
    token?: string,
    opts?: MoveToDelayedOpts,
    // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ's own signature
  ): Promise<void | any[]> {
    await this.#ask(
      "moveToDelayed",
      { jobId, state: "active" },
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
    const next = await this.moveToActive(token, this.#options.name);
    return next[0] === null ? [] : next;
  }

  async moveToWaitingChildren(
    jobId: string,
    token: string,
    _opts?: MoveToWaitingChildrenOpts,
  ): Promise<boolean> {
    return await this.#ask(
      "moveToWaitingChildren",
      { jobId, state: "active" },
      "moveToWaitingChildren",
      this.qualifiedName,
      jobId,
      token,
    );
  }

  async moveJobFromActiveToWait(jobId: string, token = "0"): Promise<number> {
    return await this.#ask(
      "moveJobFromActiveToWait",
      { jobId },
      "moveActiveToWait",
      this.qualifiedName,
      jobId,
      token,
      Date.now(),
    );
  }

  async retryJob(jobId: string, lifo: boolean, token?: string, opts?: RetryJobOpts): Promise<void> {
    await this.#ask(
      "retryJob",
      { jobId, state: "active" },
      "retryJob",
      this.qualifiedName,
      jobId,
      token ?? "",
      lifo,
      failureOf(opts?.fieldsToUpdate),
    );
  }

  async retryFinishedJob<T = unknown, R = unknown, N extends string = string>(
    job: MinimalJob<T, R, N>,
    state: "failed" | "completed",
    opts: RetryOptions = {},
  ): Promise<void> {
    await this.#ask(
      "reprocessJob",
      { jobId: job.id!, state },
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
    await this.#ask("promote", { jobId, state: "delayed" }, "promote", this.qualifiedName, jobId);
  }

  async moveStalledJobsToWait(): Promise<string[]> {
    const { maxStalledCount, stalledInterval } = this.#options;
    return await this.#call(
      "moveStalledJobsToWait",
      this.qualifiedName,
      maxStalledCount ?? 1,
      Date.now(),
      stalledInterval ?? defaultStalledInterval,
    );
  }

  async retryFinishedJobs(
    state: FinishedStatus = "failed",
    count = 1_000,
    timestamp?: number,
  ): Promise<number> {
    return await this.#call("retryFinishedJobs", this.qualifiedName, state, count, timestamp ?? null);
  }

  async promoteJobs(count = 1_000): Promise<number> {
    return await this.#call("promoteJobs", this.qualifiedName, count);
  }

  // --- a whole queue

  async pause(pause: boolean): Promise<void> {
    await this.#call("pause", this.qualifiedName, pause);
  }

  async drain(delayed: boolean): Promise<void> {
    await this.#call("drain", this.qualifiedName, delayed, Date.now());
  }

  async cleanJobsByState(state: string, timestamp: number, limit = 0): Promise<string[]> {
    return await this.#call("clean", this.qualifiedName, state, timestamp, limit, Date.now());
  }

  async obliterate(opts: { force: boolean; count: number }): Promise<number> {
    const left = await this.#call("obliterate", this.qualifiedName, opts.count, opts.force);
    if (left === -1) throw new Error("Cannot obliterate non-paused queue");
    if (left === -2) throw new Error("Cannot obliterate queue with active jobs");
    return left;
  }

  /** A job is one row with its state: there can be no data without a state. */
  async removeOrphanedJobs(): Promise<number> {
    return 0;
  }

  // --- locks

  async extendLock(jobId: string, token: string, duration: number): Promise<number> {
    return (await this.extendLocks([jobId], [token], duration)).length === 0 ? 1 : 0;
  }

  async extendLocks(jobIds: string[], tokens: string[], duration: number): Promise<string[]> {
    return await this.#call("extendLocks", this.qualifiedName, jobIds, tokens, Date.now() + duration);
  }

  // --- one job

  async updateData<T = unknown, R = unknown, N extends string = string>(
    job: MinimalJob<T, R, N>,
    data: T,
  ): Promise<void> {
    const id = job.id!;
    await this.#ask(
      "updateData",
      { jobId: id },
      "updateData",
      this.qualifiedName,
      id,
      JSON.stringify(data ?? {}),
    );
  }

  async updateProgress(jobId: string, progress: JobProgress): Promise<void> {
    const text = JSON.stringify(progress ?? null);
    await this.#ask("updateProgress", { jobId }, "updateProgress", this.qualifiedName, jobId, text);
  }

  async addLog(jobId: string, logRow: string, keepLogs?: number): Promise<number> {
    return await this.#ask("addLog", { jobId }, "addLog", this.qualifiedName, jobId, logRow, keepLogs);
  }

  async clearLogs(jobId: string, keepLogs?: number): Promise<void> {
    await this.#call("clearLogs", this.qualifiedName, jobId, keepLogs);
  }

  async changeDelay(jobId: string, delay: number): Promise<void> {
    await this.#ask(
      "changeDelay",
      { jobId, state: "delayed" },
      "changeDelay",
      this.qualifiedName,
      jobId,
      delay,
      Date.now(),
    );
  }

  async changePriority(jobId: string, priority = 0, lifo = false): Promise<void> {
    await this.#ask("changePriority", { jobId }, "changePriority", this.qualifiedName, jobId, priority, lifo);
  }

  async remove(jobId: string, removeChildren: boolean): Promise<number> {
    return await this.#ask(
      "remove",
      { jobId },
      "remove",
      this.qualifiedName,
      jobId,
      removeChildren,
      Date.now(),
    );
  }

  async removeUnprocessedChildren(jobId: string): Promise<void> {
    await this.#call("removeUnprocessedChildren", this.qualifiedName, jobId);
  }

  async removeChildDependency(jobId: string, parentKey: string): Promise<boolean> {
    return await this.#ask(
      "removeChildDependency",
      { jobId, parentKey },
      "removeChildDependency",
      this.qualifiedName,
      jobId,
      Date.now(),
    );
  }

  async removeDeduplicationKey(deduplicationId: string, jobId: string): Promise<number> {
    return await this.#call("removeKey", this.qualifiedName, deduplicationId, jobId, Date.now());
  }

  async deleteDeduplicationKey(deduplicationId: string): Promise<number> {
    return await this.#call("removeKey", this.qualifiedName, deduplicationId, undefined, Date.now());
  }

  // --- schedulers

  async addJobScheduler(
    jobSchedulerId: string,
    nextMillis: number,
    templateData: string,
    templateOpts: JobsOptions,
    opts: RepeatableOptions,
    delayedJobOpts: JobsOptions,
    _producerId?: string,
  ): Promise<[string, number]> {
    return await this.#ask(
      "addJobScheduler",
      {},
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
    return await this.#call(
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
    return (await this.#call("removeJobScheduler", this.qualifiedName, jobSchedulerId)) ? 0 : 1;
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ's own signature
  async getJobScheduler(id: string): Promise<[any, string | null]> {
    const stored = await this.#call("getJobScheduler", this.qualifiedName, id);
    return stored === undefined ? [null, null] : [Object.entries(stored.fields).flat(), stored.next];
  }

  async isJobScheduler(id: string): Promise<boolean> {
    return (await this.#call("getJobScheduler", this.qualifiedName, id)) !== undefined;
  }

  async getJobSchedulerData(key: string): Promise<Record<string, string>> {
    return (await this.#call("getJobScheduler", this.qualifiedName, key))?.fields ?? {};
  }

  async getJobSchedulersRange(start: number, end: number, asc: boolean): Promise<string[]> {
    return await this.#call("getJobSchedulersRange", this.qualifiedName, start, end, asc);
  }

  async getJobSchedulersCount(): Promise<number> {
    return await this.#call("countJobSchedulers", this.qualifiedName);
  }

  // --- queries

  async getState(jobId: string): Promise<JobState | "unknown"> {
    return (await this.#call("getState", this.qualifiedName, jobId)) as JobState | "unknown";
  }

  async isFinished(jobId: string, returnValue?: boolean): Promise<number | [number, string]> {
    const [status, value] = await this.#call("isFinished", this.qualifiedName, jobId);
    return returnValue === true ? [status, value] : status;
  }

  async isMaxed(): Promise<boolean> {
    return await this.#call("isQueueMaxed", this.qualifiedName);
  }

  async isJobInState(state: string, jobId: string): Promise<boolean> {
    return await this.#call("isJobInState", this.qualifiedName, state, jobId);
  }

  async getJobData(jobId: string): Promise<JobJson | undefined> {
    return await this.#call("getJobData", this.qualifiedName, jobId);
  }

  async getDeduplicationJobId(deduplicationId: string): Promise<string | null> {
    return await this.#call("keyHolder", this.qualifiedName, deduplicationId, Date.now());
  }

  async getJobLogs(
    jobId: string,
    start: number,
    end: number,
    asc: boolean,
  ): Promise<{ logs: string[]; count: number }> {
    return await this.#call("getJobLogs", this.qualifiedName, jobId, start, end, asc);
  }

  async getRateLimitTtl(maxJobs?: number): Promise<number> {
    return await this.#call("rateLimitTtl", this.qualifiedName, maxJobs, Date.now());
  }

  async getCounts(types: JobType[], delayedTimestamp?: number): Promise<number[]> {
    return await this.#call("getCounts", this.qualifiedName, types, delayedTimestamp);
  }

  async getCountsPerPriority(priorities: number[]): Promise<number[]> {
    return await this.#call("getCountsPerPriority", this.qualifiedName, priorities);
  }

  async getRanges(types: JobType[], start = 0, end = -1, asc = false): Promise<[string][]> {
    return (await this.#call("getRanges", this.qualifiedName, types, start, end, asc)) as [string][];
  }

  async getDependencyCounts(jobId: string, types: string[]): Promise<number[]> {
    const counts = await this.#call("countChildren", this.qualifiedName, jobId);
    return types.map((type) => counts[childStatuses[type] ?? -1] ?? 0);
  }

  async getDependencies(jobId: string, opts: DependenciesOpts): Promise<Dependencies> {
    const asked = (["processed", "unprocessed", "ignored", "failed"] as const).filter(
      (type) => opts[type] !== undefined,
    );
    if (asked.length === 0) {
      const { children } = await this.#call("getChildren", this.qualifiedName, jobId);
      const of = (status: number): ChildEntry[] => children.filter((child) => child.status === status);
      return {
        processed: valuesOf(of(PROCESSED_CHILD)),
        unprocessed: of(PENDING_CHILD).map(({ key }) => key),
        ignored: valuesOf(of(IGNORED_CHILD)),
        failed: of(FAILED_CHILD).map(({ key }) => key),
      };
    }
    const result: Dependencies = {};
    for (const type of asked) {
      const { cursor = 0, count = 20 } = opts[type] ?? {};
      const status = childStatuses[type]!;
      const { children } = await this.#call("getChildren", this.qualifiedName, jobId, {
        status,
        offset: cursor,
        limit: count,
      });
      const next = children.length < count ? 0 : cursor + count;
      if (type === "processed")
        Object.assign(result, { processed: valuesOf(children), nextProcessedCursor: next });
      else if (type === "ignored")
        Object.assign(result, { ignored: valuesOf(children), nextIgnoredCursor: next });
      else {
        const keys = children.map(({ key }) => key);
        if (type === "unprocessed") Object.assign(result, { unprocessed: keys, nextUnprocessedCursor: next });
        else Object.assign(result, { failed: keys, nextFailedCursor: next });
      }
    }
    return result;
  }

  async getProcessedChildrenValues(jobId: string): Promise<Record<string, string>> {
    const { children } = await this.#call("getChildren", this.qualifiedName, jobId, {
      status: PROCESSED_CHILD,
    });
    return Object.fromEntries(children.map(({ key, value }) => [key, value ?? "null"]));
  }

  async getIgnoredChildrenFailures(jobId: string): Promise<Record<string, string>> {
    const { children } = await this.#call("getChildren", this.qualifiedName, jobId, {
      status: IGNORED_CHILD,
    });
    return Object.fromEntries(children.map(({ key, value }) => [key, String(JSON.parse(value ?? "null"))]));
  }

  async getMetrics(type: "completed" | "failed", start = 0, end = -1): Promise<[string[], string[], number]> {
    const { total, points, length } = await this.#call("getMetrics", this.qualifiedName, type, start, end);
    return [[total, "0", "0"], points, length];
  }

  async paginate(
    key: string,
    opts: { start: number; end: number; fetchJobs?: boolean },
  ): Promise<{
    cursor: string;
    items: { id: string; v?: unknown; err?: string }[];
    total: number;
    jobs?: JobJson[];
  }> {
    // BullMQ pages over the children of a job: `QUEUE:ID:dependencies` or `QUEUE:ID:processed`.
    const prefix = `${this.qualifiedName}:`;
    const inner = key.startsWith(prefix) ? key.slice(prefix.length) : key;
    const isProcessed = inner.endsWith(":processed");
    const parentId = inner.slice(0, inner.lastIndexOf(":"));
    const offset = Math.max(opts.start ?? 0, 0);
    const { total, children } = await this.#call("getChildren", this.qualifiedName, parentId, {
      status: isProcessed ? PROCESSED_CHILD : PENDING_CHILD,
      offset,
      limit: opts.end !== undefined && opts.end >= 0 ? opts.end - offset + 1 : -1,
      withJobs: opts.fetchJobs === true,
    });
    const items = children.map(({ key: id, value }) =>
      isProcessed ? { id, v: JSON.parse(value ?? "null") as unknown } : { id },
    );
    const jobs = children.flatMap(({ job }) => (job === undefined ? [] : [job]));
    return { cursor: "0", items, total, ...(opts.fetchJobs === true ? { jobs } : {}) };
  }

  // --- settings

  async setQueueMeta(values: Record<string, string | number>): Promise<number> {
    const texts = Object.fromEntries(Object.entries(values).map(([field, value]) => [field, String(value)]));
    return Object.keys(texts).length === 0 ? 0 : await this.#call("setMeta", this.qualifiedName, texts);
  }

  async getQueueMetaField(field: string): Promise<string | null> {
    return (await this.getQueueMeta())[field] ?? null;
  }

  async getQueueMetaFields(fields: string[]): Promise<(string | null)[]> {
    const meta = await this.getQueueMeta();
    return fields.map((field) => meta[field] ?? null);
  }

  async getQueueMeta(): Promise<Record<string, string>> {
    return await this.#call("getMeta", this.qualifiedName);
  }

  async removeQueueMetaFields(fields: string[]): Promise<number> {
    return fields.length === 0 ? 0 : await this.#call("removeMeta", this.qualifiedName, fields);
  }

  async hasQueueMetaField(field: string): Promise<boolean> {
    return (await this.getQueueMetaField(field)) !== null;
  }

  async setRateLimit(expireTimeMs: number): Promise<void> {
    await this.#call("setRateLimit", this.qualifiedName, Date.now() + expireTimeMs);
  }

  async removeRateLimitKey(): Promise<number> {
    return await this.#call("removeRateLimit", this.qualifiedName);
  }

  /** There is no such key here. */
  async removeDeprecatedPriorityKey(): Promise<number> {
    return 0;
  }

  // --- events

  async trimEvents(maxLength: number): Promise<number> {
    return await this.#call("trimEvents", this.qualifiedName, maxLength);
  }

  async publishEvent(fields: Record<string, string | number>, _maxEvents: number): Promise<string> {
    const { event, ...rest } = fields;
    return String(await this.#call("publishEvent", this.qualifiedName, String(event), rest));
  }

  async readEvents(id: string, blockTimeout: number): Promise<StreamReadRaw> {
    if (this.#isOver()) return null;
    const cursor =
      id === "$" ? await this.#call("lastEvent", this.qualifiedName) : Number(id.split("-", 1)[0]);
    let events = await this.#call("readEvents", this.qualifiedName, cursor);
    if (events.length === 0 && !this.#isOver()) {
      await this.#eventsBell.wait(blockTimeout > 0 ? blockTimeout : eventWait, async () => {
        events = await this.#call("readEvents", this.qualifiedName, cursor);
        return { isNew: events.length > 0 };
      });
      if (this.#isOver()) return null;
      if (events.length === 0) events = await this.#call("readEvents", this.qualifiedName, cursor);
    }
    if (events.length === 0) return null;
    return [
      [
        "events",
        events.map(([eventId, name, fields]) => [
          String(eventId),
          ["event", name, ...Object.entries(fields).flatMap(([key, value]) => [key, String(value)])],
        ]),
      ],
    ] as unknown as StreamReadRaw;
  }

  #isOver(): boolean {
    return this.closing !== undefined || this.#database.ended !== undefined;
  }

  // --- waiting for jobs

  async waitForJob(blockTimeout: number): Promise<{ member: string; score: number } | null> {
    if (this.#isOver() || this.#isInterrupted) return null;
    const rang = await this.#jobsBell.wait(Math.max(blockTimeout, 0) * 1_000, async () => {
      const { hasWork, due } = await this.#call("waitState", this.qualifiedName);
      return { isNew: hasWork, ...(due === undefined ? {} : { within: due - Date.now() }) };
    });
    return rang ? { member: this.qualifiedName, score: 0 } : null;
  }

  async disconnectBlocking(): Promise<void> {
    this.#isInterrupted = true;
    this.#jobsBell.cancel();
  }

  async reconnectBlocking(): Promise<void> {
    this.#isInterrupted = false;
  }
}

type Dependencies = Awaited<ReturnType<IQueueBackend["getDependencies"]>>;

/** The numbers of BullMQ's names for the states of children. */
const childStatuses: Readonly<Record<string, number>> = {
  processed: PROCESSED_CHILD,
  unprocessed: PENDING_CHILD,
  ignored: IGNORED_CHILD,
  failed: FAILED_CHILD,
};

function valuesOf(children: readonly ChildEntry[]): Record<string, unknown> {
  return Object.fromEntries(children.map(({ key, value }) => [key, JSON.parse(value ?? "null") as unknown]));
}

function failureOf(fields: Record<string, unknown> | undefined): {
  readonly reason: string | null;
  readonly stacktrace: string | null;
} {
  return {
    reason: (fields?.["failedReason"] as string | undefined) ?? null,
    stacktrace: (fields?.["stacktrace"] as string | undefined) ?? null,
  };
}
