import type { IQueueBackend, Queue, WorkerOptions } from "bullmq";
import type { Lane } from "./lane.ts";
import type { JobEnd } from "./retention.ts";
import type { LockHolder } from "./lock-holder.ts";
import type { JobData } from "../wire/job-data.ts";
import type { FinishedRecord, Outcome } from "../wire/outcome.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "./job-record.ts";
import type { BullJob, FlowAdder, LaneConsumer, LaneQueue } from "./lane-queue.ts";
import type { Transient } from "./transient.ts";
import type { ServingWorker } from "./serving.ts";

/** A worker's lane as the processor of its jobs sees it. */
export interface LaneView {
  /** Whether the lane runs no other job, and stores no other's end. */
  isAlone(): boolean;
  /** Lets other workers be first to take a job that this one has put back, and that is due at `time`. */
  leaveToOthers(time: number): void;
}

/** Runs one job of a worker lane: a BullMQ processor. */
export type LaneProcessor = (job: BullJob, token: string | undefined, lane?: LaneView) => Promise<unknown>;

/** What travels from a worker to the one process that waits. */
export type ReplyMessage =
  | {
      readonly id: string;
      readonly outcome: Outcome;
      readonly attempts: number;
      /** The last that it reported, encoded: what was sent before can be lost or late. */
      readonly progress?: unknown;
    }
  | { readonly id: string; readonly progress: unknown }
  /** The submission will never run: another one of its deduplication key was kept in its place. */
  | { readonly id: string; readonly became: string };

/** A submission that waits for the job of its deduplication key to end (`keepLastIfActive`). It is no job yet. */
export interface KeptSubmission {
  /** The id that its job will have. */
  readonly id: string;
  /** Where its outcome is to be sent. */
  readonly reply: string | undefined;
}

/**
 * The quick way for outcomes and progress. It may lose messages and repeat them: what is stored is the truth, and the
 * client looks there in time.
 */
export interface ReplyChannel {
  /** Where messages for this process go; it travels in every job. */
  readonly address: string;
  /** Whether nothing can be lost between the worker and this process (they are the same process). */
  readonly lossless: boolean;
  /** Begins to receive, and ends when it does. `onGap` tells that messages may have been missed. */
  listen(onMessage: (message: ReplyMessage) => void, onGap: () => void): Promise<void>;
  /** Sends to a waiting process, batched with what else is sent in this turn. */
  send(address: string, message: ReplyMessage): void;
  /**
   * Sends a job's outcome when the command that stores it is on its way and not yet answered. The engine looks whether
   * that very run's end is stored, and sends nothing if not; ends with what it did.
   */
  sendBehind?(address: string, message: ReplyMessage, run: EndingRun): Promise<boolean>;
}

/** Where a job's end is told; undefined when nobody can be waiting for it. */
export function replyAddress(data: Pick<JobData, "reply">, { lossless }: ReplyChannel): string | undefined {
  // Where all is one process, whoever has attached to a job that nobody waited for hears of its end from this alone.
  return data.reply ?? (lossless ? "" : undefined);
}

/** A run whose end is being stored. */
export interface EndingRun {
  readonly queueName: string;
  readonly id: string;
  readonly attemptsStarted: number;
}

/** What the engine says of a job that somebody wants cancelled; see `engines/redis/cancel-script.ts`. */
export type CancelAnswer =
  /** There is no record of it. */
  | { readonly kind: "gone" }
  /** It has ended; what is stored stands. */
  | { readonly kind: "done" }
  /** It is flagged, and the worker that runs it was told. */
  | { readonly kind: "running" }
  /** Not accepted: its run was sealed before, and its end is being stored. */
  | { readonly kind: "sealed" }
  /** It was not running: the canceller holds it now, under `token`, and has to end it. */
  | { readonly kind: "claimed"; readonly token: string };

/** A request to a worker to stop one particular run of a job. */
export interface CancelRequest {
  readonly id: string;
  /**
   * The lock's token, the count of starts and the moment of this one: together they name one run, so that a later run
   * is never hit, not even the first run of a job that was added again under the id. BullMQ uses tokens again.
   */
  readonly token: string;
  readonly attemptsStarted: number;
  readonly startedAt: number;
  readonly reason: string;
}

/** A stored job as a client sees it. */
export type StoredJob =
  | { readonly kind: "missing" }
  | { readonly kind: "pending" }
  | {
      readonly kind: "finished";
      readonly record: FinishedRecord;
      readonly attempts: number;
      /** The last that it reported, encoded; undefined or null when it did not. */
      readonly progress: unknown;
    };

/**
 * The way by which a thread of its own reaches the engine, to renew the locks of jobs while the event loop is blocked. An
 * open connection cannot be sent to a thread, so the thread imports a module of the engine and opens one.
 */
export interface RenewalAddress {
  /** The URL of a module that exports a {@link ConnectToRenew} as `connectToRenew`. */
  readonly module: string;
  /** The argument for that function; structured clone carries it to the thread. */
  readonly server: unknown;
}

/**
 * Connects to an engine's server from the renewing thread, and returns the backend of each queue. A command fails after
 * `patience` milliseconds without an answer, before the locks lapse.
 */
export type ConnectToRenew<Server> = (
  server: Server,
  queues: readonly string[],
  patience: number,
) => IQueueBackend[];

/** How a worker holds the jobs that it runs; all in milliseconds. See docs/decisions/0004-locks.md. */
export interface LockTerms {
  /** How long a lock lasts without being renewed. */
  readonly duration: number;
  /** How often workers look for jobs whose lock has lapsed. */
  readonly stalledInterval: number;
  /**
   * What the thread beside the loop does: it renews locks at `address`, or without one only watches whether the loop
   * stands still. Undefined where there is no such thread.
   */
  readonly renewal: { readonly address: RenewalAddress | undefined; readonly interval: number } | undefined;
}

/** What a lane's BullMQ worker is opened with. */
export interface LaneWorkerOptions extends Omit<WorkerOptions, "connection"> {
  readonly renewal?: LockHolder;
}

/** What the engine says to a worker that is about to end a run; see {@link Engine.seal}. */
export type SealAnswer =
  /** No cancel of this run is accepted any more. */
  | { readonly kind: "sealed" }
  /** A cancel was accepted before, so the job has to end as cancelled. */
  | { readonly kind: "cancelled"; readonly reason: string }
  /** The run has lost its lock: somebody else has the job. */
  | { readonly kind: "lost" };

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
  openWorker(name: string, processor: LaneProcessor, options: LaneWorkerOptions): LaneConsumer;
  /** Calls back in a moment, after what runs now: how submissions and replies of one turn come to travel together. */
  defer(callback: () => void): void;
  /** Whether jobs run on the very loop that waits for them, so that a virtual clock must not stand still for them. */
  readonly isLocal: boolean;
  readonly locks: LockTerms;
  readonly replies: ReplyChannel;
  /** Marks a job as cancelled, or a waiting one as ended, in one atomic step. */
  cancel(queueName: string, id: string, reason: string): Promise<CancelAnswer>;
  /**
   * For strict tasks, before the end of a run is stored: marks the run as ended in one atomic step. From then on a
   * cancel is told that it came too late; one that was accepted before wins over the result.
   */
  seal(queueName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer>;
  /** Tells when somebody asks a BullMQ worker of this process, named by its id, to stop a run. */
  onCancelRequest(workerId: string, listener: (request: CancelRequest) => void): () => void;
  /** Looks at what is stored of many jobs at once. */
  look(queueName: string, ids: readonly string[]): Promise<StoredJob[]>;
  /** The ids of a lane's jobs in one state, the newest or the oldest first, from the `from`th on; at most `count`. */
  idsIn(
    queueName: string,
    state: StoredState,
    from: number,
    count: number,
    order: StateOrder,
  ): Promise<string[]>;
  /** Reads stored jobs for an operator: of each text at most as many bytes as `limits` says; undefined for no job. */
  readRecords(
    queueName: string,
    ids: readonly string[],
    limits: FieldLimits,
  ): Promise<(JobRecord | undefined)[]>;
  /** Before a failed job is retried: forgets the deaths of its workers, and a failure that was decided before a run. */
  renewAttempts(queueName: string, id: string): Promise<void>;
  /** Stores that a worker of this process serves its queues, for a few seconds; workers repeat it. */
  serve(worker: ServingWorker): Promise<void>;
  stopServing(workerId: string): Promise<void>;
  /** The workers that serve queues now, of every process at the engine. */
  serving(): Promise<ServingWorker[]>;
  /** Stores that a Taskloom queue is used, where the engine cannot list its queues otherwise. */
  noteQueue(queue: string): Promise<void>;
  /** The names of the Taskloom queues that are known here: those that have jobs, or were used before. */
  queueNames(): Promise<string[]>;
  /**
   * Marks ids that users chose as on their way to a lane of a queue, for {@link laneClaimFor} ms, so that nobody adds
   * them to the other lane meanwhile. Gives those that are; the others are on their way to the other lane.
   */
  claimLane(queue: string, lane: Lane, ids: readonly string[]): Promise<ReadonlySet<string>>;
  /** The submission that is kept while the job of a deduplication key runs. */
  findKept(queueName: string, key: string): Promise<KeptSubmission | undefined>;
  /** Deletes the submission that is kept for a key, if it has this id; false otherwise. */
  dropKept(queueName: string, key: string, id: string): Promise<boolean>;
  /** Takes down of a job's end what BullMQ does not: that it was cancelled, and how long it is kept. */
  noteEnd(queueName: string, end: JobEnd): void;
  /**
   * Removes the jobs that have been kept for long enough by `now`; workers see to it every few seconds. Left to
   * BullMQ, the end of a job that is kept for a short time removes every other that is older than that.
   */
  forget(queueName: string, now?: number): Promise<void>;
  /** How many of the jobs that are stored as completed were cancelled. */
  countCancelled(queueName: string): Promise<number>;
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
export const laneClaimFor = 10_000;

/** The text of BullMQ's deferred-failure field that marks a job as cancelled; the reason follows it. */
export const cancelFlag = "tl:cx:";
/**
 * The text of the same field that marks a run as sealed; the run follows it. One field for both, since they exclude
 * each other. A seal is of no meaning to a later run.
 */
export const sealFlag = "tl:seal:";

/** A run's name within its job. */
export function sealOf(token: string, attemptsStarted: number): string {
  return `${sealFlag}${token}#${attemptsStarted}`;
}
