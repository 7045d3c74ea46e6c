import type { WorkerOptions } from "bullmq";
import type { BullJob } from "./lane-queue.ts";
import type { EndDelivery } from "./lane-driver.ts";
import type { LockHolder } from "./lock-holder.ts";

/** A lane of a worker, for the processor of its jobs. */
export interface WorkerLane {
  /** Returns whether the lane neither runs another job nor stores its end. */
  isAlone(): boolean;
  /** Lets other workers take a job first that this worker has put back and that is due at `time`. */
  leaveToOthers(time: number): void;
}

/** Runs one job of a worker lane, with the arguments of a BullMQ processor and the lane. */
export type LaneProcessor = (job: BullJob, token: string | undefined, lane?: WorkerLane) => Promise<unknown>;

/** The end of a job as its processor has left it. */
export type ProcessedEnd =
  | { readonly outcome: "completed"; readonly result: unknown }
  | { readonly outcome: "failed"; readonly error: Error };

/**
 * The places for jobs that the lanes of several shards share. A lane reserves places with each claim.
 *
 * @remarks
 * A place is held from the reservation until the end of the job is on its way, or until the claim has not used it. An end that
 * is not stored takes its place again.
 */
export interface LanePlaces {
  /**
   * Frees the places of `returning` ends, which travel with the claim, and reserves at most `wanted` places.
   *
   * @returns the number of reserved places.
   */
  reserve(wanted: number, returning: number): number;
  /** Frees places: of jobs that have ended, or of a claim that has found fewer jobs. A number below 0 takes them again. */
  free(count: number): void;
  /** Records that the shard has no jobs that can run, so that the other shards share its places. */
  rest(): void;
  /** Returns whether any place is free. If none is, the lane is woken when one is. */
  hasRoom(): boolean;
}

/** The options with which a lane's worker is opened. */
export interface LaneWorkerOptions extends Omit<WorkerOptions, "connection"> {
  /** The id of the worker, with which the tokens of its locks begin. Default: a new one. */
  readonly id?: string;
  /** The places that this worker shares with others; without them, `concurrency` is its own limit. */
  readonly places?: LanePlaces;
  readonly renewal?: LockHolder;
  /** The time until the next check for lapsed locks of a lane that had no running job at the last one, in milliseconds. */
  readonly restingInterval?: number | undefined;
  /** Returns the delivery of the end of a job to the durable run that waits for it; undefined for any other job. */
  readonly deliveryOf?: (job: BullJob, end: ProcessedEnd) => EndDelivery | undefined;
}

/** The worker of one lane. Its members and events have the names of BullMQ's Worker. */
export interface EngineWorker {
  readonly id: string;
  concurrency: number;
  on(event: "active", listener: (job: BullJob) => void): unknown;
  on(event: "completed", listener: (job: BullJob, result: unknown) => void): unknown;
  on(event: "failed", listener: (job: BullJob | undefined, error: Error) => void): unknown;
  on(event: "lockRenewalFailed", listener: (ids: string[]) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  run(): Promise<unknown>;
  /** Takes no more jobs. */
  pause(doNotWaitActive: boolean): Promise<unknown>;
  close(force?: boolean): Promise<unknown>;
}
