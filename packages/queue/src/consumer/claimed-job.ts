import { Job } from "bullmq";
import type { JobJson, JobProgress } from "bullmq";
import { unreadableFailure } from "../bullmq/deferred-end.ts";
import { laneOfJobId } from "../contract/lane.ts";
import type { BullJob, PlainJob } from "../contract/lane-queue.ts";
import { isSubmission } from "../wire/job-data.ts";
import type { JobData } from "../wire/job-data.ts";
import { valueOr } from "../value-or.ts";
import type { LaneSource } from "./lane-source.ts";

/**
 * A job that a worker has taken: the part of BullMQ's Job that is needed to run it. BullMQ's class reads every field of the
 * record, most of which no run needs; {@link ClaimedJob.bullJob} makes one where BullMQ's rules are needed.
 */
export class ClaimedJob implements BullJob {
  readonly id: string;
  readonly name: string;
  readonly data: JobData;
  readonly plain?: PlainJob;
  readonly opts: BullJob["opts"];
  readonly timestamp: number;
  readonly stalledCounter: number;
  readonly attemptsStarted: number;
  attemptsMade: number;
  progress: JobProgress;
  processedOn?: number;
  finishedOn?: number;
  returnvalue: unknown = undefined;
  isDelivered = false;
  /** The end that was decided before the job's start. */
  deferredFailure?: string;
  readonly #source: LaneSource;
  readonly #record: JobJson;

  constructor(source: LaneSource, id: string, record: JobJson) {
    this.#source = source;
    this.#record = record;
    this.id = id;
    this.name = record.name;
    this.opts = { attempts: 0, ...record.opts };
    this.timestamp = record.timestamp;
    this.stalledCounter = record.stalledCounter ?? 0;
    this.attemptsStarted = record.attemptsStarted ?? 0;
    this.attemptsMade = record.attemptsMade ?? 0;
    this.progress = record.progress ?? 0;
    if (record.processedOn !== undefined) this.processedOn = record.processedOn;
    const data: unknown = valueOr<unknown>(() => JSON.parse(record.data || "{}"), NOT_JSON);
    if (isSubmission(data)) this.data = data;
    else {
      // No field of foreign data may count as a field of a submission, such as a deadline or a reply address.
      this.data = {} as JobData;
      const fault = faultOf(data, id);
      if (fault === undefined) this.plain = { data };
      else this.deferredFailure = unreadableFailure(fault);
    }
    if (record.deferredFailure && data !== NOT_JSON) this.deferredFailure = record.deferredFailure;
  }

  /** The key of the schedule whose run this is; undefined for other jobs. */
  get schedule(): string | undefined {
    return this.#record.repeatJobKey || undefined;
  }

  /** Returns the stacktraces of the earlier attempts and of one more, within the job's limit, as a JSON text. */
  stacktraceWith(stack: string | undefined): string {
    const stored = valueOr<unknown>(() => JSON.parse(this.#record.stacktrace || "[]"), []);
    const traces: unknown[] = Array.isArray(stored) ? stored : [];
    if (stack !== undefined && stack !== "") traces.push(stack);
    const { stackTraceLimit } = this.opts;
    if (stackTraceLimit === undefined) return JSON.stringify(traces);
    return JSON.stringify(stackTraceLimit === 0 ? [] : traces.slice(-stackTraceLimit));
  }

  /** Returns BullMQ's job of the same record. */
  bullJob(): Job {
    const { id, attemptsMade } = this;
    const readable = this.deferredFailure === undefined ? this.#record : { ...this.#record, data: "{}" };
    return Object.assign(Job.fromJSON(this.#source, readable, id), { attemptsMade });
  }

  async extendLock(token: string, duration: number): Promise<number> {
    return await this.#source.backend.extendLock(this.id, token, duration);
  }

  async log(row: string): Promise<number> {
    return await this.#source.backend.addLog(this.id, row, this.opts.keepLogs);
  }

  async updateProgress(progress: JobProgress): Promise<void> {
    this.progress = progress;
    await this.#source.backend.updateProgress(this.id, progress);
  }

  async moveToDelayed(timestamp: number, token?: string): Promise<void> {
    const now = Date.now();
    const delay = Math.max(0, timestamp - now);
    await this.#source.backend.moveToDelayed(this.id, now, delay, token, { skipAttempt: true });
  }

  async moveToWait(token?: string): Promise<number> {
    return await this.#source.backend.moveJobFromActiveToWait(this.id, token);
  }

  async getChildrenValues<Value>(): Promise<{ [jobKey: string]: Value }> {
    return await this.bullJob().getChildrenValues<Value>();
  }
}

const NOT_JSON = Symbol("not JSON");

/**
 * Returns why data that is not a submission cannot be read; undefined if BullMQ's own client has added the job. Only
 * the ids of Taskloom's jobs begin with a lane.
 */
function faultOf(data: unknown, id: string): string | undefined {
  if (data === NOT_JSON) return "its data is not JSON";
  if (laneOfJobId(id) === undefined) return undefined;
  const isObject = typeof data === "object" && data !== null && !Array.isArray(data);
  return isObject ? "its data is not a submission" : "its data is not an object";
}
