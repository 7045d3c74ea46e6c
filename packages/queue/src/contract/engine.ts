import type { Life } from "@taskloom/loop/lifecycle";
import type { Queue } from "bullmq";
import type { TaskLane } from "./lane.ts";
import type { JobEnd } from "./retention.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "./cancellation.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "./job-record.ts";
import type { EngineWorker, LaneProcessor, LaneWorkerOptions } from "./engine-worker.ts";
import type { HistoryBucket, HistoryEntry, HistoryRange } from "./history.ts";
import type { FlowAdder, LaneQueue } from "./lane-queue.ts";
import type { LaneEventListener, LaneEvents } from "./lane-events.ts";
import type { LockTerms } from "./lock-terms.ts";
import type { ShardsReport } from "./shards-report.ts";
import type { ReplyChannel } from "./replies.ts";
import type { RunJournal } from "./run-journal.ts";
import type { TaskLimits } from "./task-limits.ts";
import type { KeptSubmission, StoredJob } from "./stored-job.ts";
import type { Transient } from "./transient.ts";
import type { ServingWorker } from "./serving.ts";

/**
 * A place that stores jobs.
 *
 * @remarks
 * This interface is the seam between the engines and the rest of the package: `operate`, `client` and `worker` know an
 * engine by these members alone. Three of the four engines run BullMQ on one of its backends, and the fourth keeps jobs
 * in memory. Callers ask only whether jobs run on their own loop ({@link isLocal}), and whether an optional member is
 * there. docs/architecture.md lists the steps to add an engine.
 *
 * In the interface:
 *
 * - the lanes: {@link openLane}, {@link openWorker} and {@link openFlows} return objects with the names of BullMQ's Queue,
 *   Worker and FlowProducer;
 * - the functions that BullMQ does not have: replies to one process, the journals of durable runs, the limits of tasks, cancellation, the
 *   retention of single jobs, claims of ids over the lanes of tasks, the list of live workers, the history of queues, and
 *   reads of many records in one round trip;
 * - the conditions of the engine: its clock, its locks, whether it answers, and which of its errors pass.
 *
 * Deliberately out of it:
 *
 * - Connections, transactions, scripts and statements. Each engine owns its own.
 * - Decisions. An engine does not know tasks, outcomes or schedules, and does not repeat a command by itself, except a
 *   command that its server has refused without executing it. A caller repeats by {@link transient}.
 * - Values. Data and results are JSON texts to an engine; `wire` encodes and decodes them.
 *
 * Jobs are named by the name of their lane, which is the name of a BullMQ queue (`laneQueueName`), and by the id under
 * which BullMQ stores them (`storedId`).
 */
export interface Engine extends Life {
  /** The address without its password, for messages. */
  readonly url: string;
  /**
   * Connects, once.
   *
   * @throws {@link EngineUnavailableError} if the engine does not answer.
   */
  connect(): Promise<void>;
  /** Returns a sentence for each unsafe setting of the engine; none before {@link connect}. */
  warnings(): readonly string[];
  /**
   * Opens BullMQ's Queue, for tools that know BullMQ. Opening a queue writes nothing.
   *
   * @throws {@link EngineUnsupportedError} if the engine has no BullMQ.
   */
  openQueue(name: string): Queue;
  /** Opens a lane for its submitters and operators. */
  openLane(name: string): LaneQueue;
  openFlows(): FlowAdder;
  openWorker(name: string, processor: LaneProcessor, options: LaneWorkerOptions): EngineWorker;
  /** Begins to read the events of a lane; resolves when each later event is reported. */
  openEvents(laneName: string, listener: LaneEventListener): Promise<LaneEvents>;
  /** Calls back at the end of the turn, so that the submissions and replies of one turn travel together. */
  defer(callback: () => void): void;
  /** Whether jobs run on the loop that waits for them. A virtual clock must not wait for such jobs. */
  readonly isLocal: boolean;
  readonly locks: LockTerms;
  readonly replies: ReplyChannel;
  /** The journals of durable runs. */
  readonly journal: RunJournal;
  /** The limits of tasks: how many jobs of a task or of a key run at once, and how many start in a time. */
  readonly limits: TaskLimits;
  /** Marks a running job as cancelled, or takes a waiting job for the canceller, in one atomic step. */
  cancel(laneName: string, id: string, reason: string): Promise<CancelAnswer>;
  /**
   * Marks a run of a strict task as ended, in one atomic step, before its end is stored. A cancel that was accepted before
   * wins over the result; a later cancel is refused.
   */
  seal(laneName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer>;
  /**
   * Notifies `listener` of the requests to stop a run of one {@link EngineWorker} of this process.
   *
   * @returns a function that stops listening.
   */
  onCancelRequest(workerId: string, listener: (request: CancelRequest) => void): () => void;
  /** Reads how many jobs stand, in one round trip, in the order of the ids. */
  lookup(laneName: string, ids: readonly string[]): Promise<StoredJob[]>;
  /** Reads the ids of the jobs in one state, from the `from`th on, at most `count`. */
  idsIn(
    laneName: string,
    state: StoredState,
    from: number,
    count: number,
    order: StateOrder,
  ): Promise<string[]>;
  /**
   * Reads stored jobs for an operator, in the order of the ids; undefined stands for a job that is not there. Of each text
   * at most as many bytes are read as `limits` allows.
   */
  readRecords(
    laneName: string,
    ids: readonly string[],
    limits: FieldLimits,
  ): Promise<(JobRecord | undefined)[]>;
  /**
   * Removes jobs that have ended, with all that is stored about them: logs, retention, the journal of a durable run and a
   * deduplication key that the job still holds. Jobs in other states stay.
   *
   * @param ids at most {@link MAX_REMOVED}.
   * @returns the ids of the removed jobs.
   */
  removeEnded(laneName: string, ids: readonly string[]): Promise<string[]>;
  /** Prepares a failed job for a retry: removes the count of its dead workers, and a failure that was set before a run. */
  renewAttempts(laneName: string, id: string): Promise<void>;
  /** Stores that a worker of this process serves its queues, for some seconds. Workers repeat the call. */
  serve(worker: ServingWorker): Promise<void>;
  stopServing(workerId: string): Promise<void>;
  /** Reads the workers of all processes that serve queues now. */
  serving(): Promise<ServingWorker[]>;
  /** Stores that a Taskloom queue is used, if the engine cannot list its queues by their jobs. */
  recordQueue(queue: string): Promise<void>;
  /** Reads the names of the Taskloom queues that have jobs or were used before. */
  queueNames(): Promise<string[]>;
  /**
   * Claims ids that users chose for one lane of a queue, for {@link LANE_CLAIM_MS}, so that no submitter adds them to the
   * other lane meanwhile. Returns the ids that were claimed; the other lane has a claim on the rest.
   */
  claimLane(queue: string, lane: TaskLane, ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** Reads the submission that is kept while the job of a deduplication key runs. */
  findKept(laneName: string, key: string): Promise<KeptSubmission | undefined>;
  /** Deletes the submission that is kept for a key if it has this id, and returns whether it did. */
  dropKept(laneName: string, key: string, id: string): Promise<boolean>;
  /** Stores the facts about an ended job that BullMQ does not store: cancellation and retention. */
  recordEnd(laneName: string, end: JobEnd): void;
  /**
   * Removes the jobs whose retention is over by `now`. Workers call it every few seconds. BullMQ's own option would remove
   * all older jobs with each job that has a short retention.
   */
  removeExpired(laneName: string, now?: number): Promise<void>;
  /** Returns the number of jobs that are stored as completed and were cancelled. */
  countCancelled(laneName: string): Promise<number>;
  /** Adds figures to the present buckets of the history, and removes old buckets. */
  addHistory(entries: readonly HistoryEntry[]): Promise<void>;
  /** Reads the buckets of all queues that have figures, the oldest first. */
  readHistory(range: HistoryRange): Promise<HistoryBucket[]>;
  /** Returns the time of the engine's clock, in milliseconds of the epoch. All machines agree on this clock. */
  now(): number;
  /** The lead of the engine's clock over this machine's clock, in milliseconds; known once {@link connect} has resolved. */
  readonly clockOffset: number;
  /** Returns why a command failed that will succeed if it is repeated; undefined if its error is final. */
  transient(error: unknown): Transient | undefined;
  /** Returns for how long the engine has not answered, in milliseconds; 0 while it answers. */
  downFor(): number;
  /**
   * Returns a new id for a job, without its lane, that decides its shard. Only an engine with shards has it; on all others an
   * id is a ULID alone.
   */
  newJobId?(place: NewJobPlace): string;
  /** Returns the number of the shard on which a job is. Commands to different shards succeed and fail independently. */
  shardOf?(laneName: string, id: string): number;
  /** Reads the shards for operators, and ends a change of their number of which no job is left. */
  readShards?(): Promise<ShardsReport>;
  /** Returns the shards as readers of jobs, each in its own order. */
  shardViews?(): readonly Pick<Engine, "idsIn" | "readRecords">[];
  /** Writes a copy of all jobs to a new file while they run. Only an engine whose data no server manages has it. */
  backup?(path: string): Promise<void>;
  /**
   * Notifies `listener` if the engine has stopped and will not come back in this process. Only an engine that runs in this
   * process has it. Workers and waiting tasks then end with the error.
   *
   * @returns a function that stops listening.
   */
  onBroken?(listener: (error: Error) => void): () => void;
  /** Ends the use of the engine, whose connections close. */
  close(): Promise<void>;
}

/** The conditions for the shard of a new job. */
export interface NewJobPlace {
  /** The deduplication key of the job, which decides its shard. */
  readonly key?: string | undefined;
  /** The lane and the name of the job's task, if the task has limits: all of its jobs are on one shard. */
  readonly limited?: { readonly lane: string; readonly task: string } | undefined;
  /** The id of another job of the same flow, on whose shard the job has to be. */
  readonly beside?: string | undefined;
}

/**
 * The time for which an id is claimed for a lane. After that time the stored job itself shows its lane.
 */
export const LANE_CLAIM_MS = 10_000;

/** The greatest number of jobs that one {@link Engine.removeEnded} removes. A longer command would delay the other work of the engine. */
export const MAX_REMOVED = 1_000;
