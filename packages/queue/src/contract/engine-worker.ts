import type { WorkerOptions } from "bullmq";
import type { BullJob } from "./lane-queue.ts";
import type { LockHolder } from "./lock-holder.ts";

/** A worker's lane as the processor of its jobs sees it. */
export interface WorkerLane {
  /** Whether the lane runs no other job, and stores no other's end. */
  isAlone(): boolean;
  /** Lets other workers be first to take a job that this one has put back, and that is due at `time`. */
  leaveToOthers(time: number): void;
}

/** Runs one job of a worker lane: a BullMQ processor. */
export type LaneProcessor = (job: BullJob, token: string | undefined, lane?: WorkerLane) => Promise<unknown>;

/** What a lane's BullMQ worker is opened with. */
export interface LaneWorkerOptions extends Omit<WorkerOptions, "connection"> {
  readonly renewal?: LockHolder;
}

/** What takes jobs from a lane: the part of BullMQ's Worker that is used, by BullMQ's names. */
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
