import type { FlowJob, Job, JobsOptions, Queue, RepeatOptions } from "bullmq";
import type { JobData } from "../wire/job-data.ts";

/** A job to add, as BullMQ's `addBulk` takes it. */
export interface NewJob {
  readonly name: string;
  readonly data: JobData;
  readonly opts: JobsOptions;
}

/** A job that BullMQ's own client has added to a lane. */
export interface PlainJob {
  /** The data of the job, which is the only argument of the task. */
  readonly data: unknown;
}

/**
 * A job of a worker: the part of BullMQ's Job that is needed to run it. `plain` is set, and `data` is empty, if BullMQ's own
 * client has added the job.
 */
export type BullJob = {
  readonly plain?: PlainJob;
  /** Whether the end of the job was delivered to the durable run that waits for it, in the step that stored the end. */
  readonly isDelivered?: boolean;
} & Partial<Pick<Job, "extendLock">> &
  Pick<
    Job<JobData, unknown, string>,
    | "id"
    | "name"
    | "data"
    | "opts"
    | "attemptsMade"
    | "attemptsStarted"
    | "stalledCounter"
    | "timestamp"
    | "progress"
    | "processedOn"
    | "finishedOn"
    | "log"
    | "updateProgress"
    | "moveToDelayed"
    | "moveToWait"
    | "getChildrenValues"
  >;

/** A job of a submitter or operator: the part of BullMQ's Job that is needed to read it, to end it, to promote it and to retry it. */
export type LaneJob = Pick<
  Job<JobData, unknown, string>,
  | "id"
  | "name"
  | "data"
  | "opts"
  | "attemptsMade"
  | "returnvalue"
  | "failedReason"
  | "stacktrace"
  | "timestamp"
  | "finishedOn"
  | "moveToCompleted"
  | "promote"
  | "retry"
  | "updateData"
>;

/** A stored schedule. */
export interface StoredSchedule {
  readonly key: string;
  readonly name: string;
  readonly next?: number | null;
  readonly pattern?: string;
  readonly every?: number;
  readonly tz?: string;
  readonly endDate?: number;
  readonly template?: { readonly data?: JobData; readonly opts?: JobsOptions };
}

/**
 * One lane of a queue: the part of BullMQ's Queue that is used here, by BullMQ's names. Engines on BullMQ return a Queue;
 * the engine in memory implements these methods itself.
 */
export interface LaneQueue extends Pick<
  Queue,
  | "getJobState"
  | "getJobLogs"
  | "getDeduplicationJobId"
  | "isPaused"
  | "pause"
  | "resume"
  | "getGlobalRateLimit"
  | "setGlobalRateLimit"
  | "removeGlobalRateLimit"
  | "removeJobScheduler"
  | "close"
> {
  getJobCounts(...states: string[]): Promise<Record<string, number>>;
  add(name: string, data: JobData, opts: JobsOptions): Promise<{ readonly id?: string | undefined }>;
  addBulk(jobs: NewJob[]): Promise<{ readonly id?: string | undefined }[]>;
  getJob(id: string): Promise<LaneJob | undefined>;
  upsertJobScheduler(
    id: string,
    repeat: Omit<RepeatOptions, "key">,
    template: { name: string; data: JobData; opts: JobsOptions },
  ): Promise<unknown>;
  getJobScheduler(id: string): Promise<StoredSchedule | undefined | null>;
  getJobSchedulers(start: number, end: number, ascending: boolean): Promise<StoredSchedule[]>;
}

/** Adds jobs that wait for other jobs, all in one step: the part of BullMQ's FlowProducer that is used here. */
export interface FlowAdder {
  add(flow: FlowJob): Promise<unknown>;
  close(): Promise<unknown>;
}
