import type { Queue } from "bullmq";
import type { Lane } from "./lane.ts";
import type { JobEnd } from "./retention.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "./cancellation.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "./job-record.ts";
import type { EngineWorker, LaneProcessor, LaneWorkerOptions } from "./engine-worker.ts";
import type { FlowAdder, LaneQueue } from "./lane-queue.ts";
import type { LockTerms } from "./lock-terms.ts";
import type { ReplyChannel } from "./replies.ts";
import type { KeptSubmission, StoredJob } from "./stored-job.ts";
import type { Transient } from "./transient.ts";
import type { ServingWorker } from "./serving.ts";

/**
 * A place that holds jobs: BullMQ over one of its backends, and beside it the parts that BullMQ does not have. These are
 * replies to one process, cancellation, retention by job, claims of ids over both lanes, the list of live workers, and
 * reads of many records at once.
 */
export interface Engine {
  /** The address without a password, fit for messages. */
  readonly url: string;
  /** Connects, once. Throws an EngineUnavailableError when nobody answers. */
  connect(): Promise<void>;
  /** What is unsafe about the way the engine is set up, in sentences; empty before {@link connect}. */
  warnings(): readonly string[];
  /** BullMQ's Queue, for tools that know BullMQ; opening one writes nothing. Throws where there is no BullMQ. */
  openQueue(name: string): Queue;
  /** The same as its users here see it. */
  openLane(name: string): LaneQueue;
  openFlows(): FlowAdder;
  openWorker(name: string, processor: LaneProcessor, options: LaneWorkerOptions): EngineWorker;
  /** Calls back in a moment, after what runs now: how submissions and replies of one turn come to travel together. */
  defer(callback: () => void): void;
  /** Whether jobs run on the very loop that waits for them, so that a virtual clock must not stand still for them. */
  readonly isLocal: boolean;
  readonly locks: LockTerms;
  readonly replies: ReplyChannel;
  /** Marks a job as cancelled, or a waiting one as ended, in one atomic step. */
  cancel(laneName: string, id: string, reason: string): Promise<CancelAnswer>;
  /**
   * For strict tasks, before the end of a run is stored: marks the run as ended in one atomic step. From then on a
   * cancel is told that it came too late; one that was accepted before wins over the result.
   */
  seal(laneName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer>;
  /** Tells when somebody asks a BullMQ worker of this process, named by its id, to stop a run. */
  onCancelRequest(workerId: string, listener: (request: CancelRequest) => void): () => void;
  /** Looks at what is stored of many jobs at once. */
  lookup(laneName: string, ids: readonly string[]): Promise<StoredJob[]>;
  /** The ids of a lane's jobs in one state, the newest or the oldest first, from the `from`th on; at most `count`. */
  idsIn(
    laneName: string,
    state: StoredState,
    from: number,
    count: number,
    order: StateOrder,
  ): Promise<string[]>;
  /** Reads stored jobs for an operator: of each text at most as many bytes as `limits` says; undefined for no job. */
  readRecords(
    laneName: string,
    ids: readonly string[],
    limits: FieldLimits,
  ): Promise<(JobRecord | undefined)[]>;
  /** Before a failed job is retried: forgets the deaths of its workers, and a failure that was decided before a run. */
  renewAttempts(laneName: string, id: string): Promise<void>;
  /** Stores that a worker of this process serves its queues, for a few seconds; workers repeat it. */
  serve(worker: ServingWorker): Promise<void>;
  stopServing(workerId: string): Promise<void>;
  /** The workers that serve queues now, of every process at the engine. */
  serving(): Promise<ServingWorker[]>;
  /** Stores that a Taskloom queue is used, where the engine cannot list its queues otherwise. */
  recordQueue(queue: string): Promise<void>;
  /** The names of the Taskloom queues that are known here: those that have jobs, or were used before. */
  queueNames(): Promise<string[]>;
  /**
   * Marks ids that users chose as on their way to a lane of a queue, for {@link LANE_CLAIM_MS} ms, so that nobody adds
   * them to the other lane meanwhile. Gives those that are; the others are on their way to the other lane.
   */
  claimLane(queue: string, lane: Lane, ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** The submission that is kept while the job of a deduplication key runs. */
  findKept(laneName: string, key: string): Promise<KeptSubmission | undefined>;
  /** Deletes the submission that is kept for a key, if it has this id; false otherwise. */
  dropKept(laneName: string, key: string, id: string): Promise<boolean>;
  /** Takes down of a job's end what BullMQ does not: that it was cancelled, and how long it is kept. */
  recordEnd(laneName: string, end: JobEnd): void;
  /**
   * Removes the jobs that have been kept for long enough by `now`; workers see to it every few seconds. Left to
   * BullMQ, the end of a job that is kept for a short time removes every other that is older than that.
   */
  removeExpired(laneName: string, now?: number): Promise<void>;
  /** How many of the jobs that are stored as completed were cancelled. */
  countCancelled(laneName: string): Promise<number>;
  /** Milliseconds of the engine's own clock: the one clock that every machine agrees on. */
  now(): number;
  /** By how much that is ahead of this machine's clock; known once {@link connect} has ended. */
  readonly clockOffset: number;
  /** Why a command failed that succeeds when it is repeated; undefined when its error is final. */
  transient(error: unknown): Transient | undefined;
  /** How long the engine has not answered, in milliseconds; 0 while it does. */
  downFor(): number;
  /** Writes a copy of all jobs to a new file while they go on; for engines whose data has no server with tools for it. */
  backup?(path: string): Promise<void>;
  /**
   * Tells when the engine has stopped and will not be back in this process, as one that lives in it can; gives a
   * function that stops listening. Whoever runs or waits for jobs then ends with the error.
   */
  onBroken?(listener: (error: Error) => void): () => void;
  close(): Promise<void>;
}

/** How long an id is on its way to a lane at most, in milliseconds; from then on the job itself tells where it is. */
export const LANE_CLAIM_MS = 10_000;
