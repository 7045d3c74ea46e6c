import { type BackendFactory, type JobJson, Worker, type WorkerOptions } from "bullmq";
import type { ThreadLockManager } from "../worker/lock-renewal.ts";
import { takeDeferredEnd } from "./deferred-end.ts";
import type { LaneProcessor, LaneWorkerOptions } from "./engine.ts";
import type { BullJob } from "./lane-queue.ts";

/**
 * BullMQ's worker, taught that a job whose end is decided before it starts, as by the cancel flag, still goes to its
 * processor, which ends it as cancelled or failed. Left to itself BullMQ would fail it with a bare message.
 */
export class LaneWorker extends Worker {
  // The connection's type differs per backend; the engine that passes a factory passes the connection that fits it.
  constructor(
    name: string,
    processor: LaneProcessor,
    options: WorkerOptions & LaneWorkerOptions,
    backendFactory?: BackendFactory<never, never>,
  ) {
    super(
      name,
      ((job: BullJob, token?: string) => processor(job, token)) as never,
      options,
      backendFactory as never,
    );
    this.on("error", () => {}); // BullMQ retries by itself; TaskWorker listens where something has to be done.
  }

  /** BullMQ calls this while it constructs the worker. */
  protected override createLockManager(): void {
    const { renewal } = this.opts as LaneWorkerOptions;
    if (renewal === undefined) super.createLockManager();
    else this.lockManager = renewal.managerFor(this);
  }

  /** BullMQ stops renewing a lock when the processor ends; here it is held until the end is stored, too. */
  override async processJob(...args: Parameters<Worker["processJob"]>): ReturnType<Worker["processJob"]> {
    const [job, token] = args;
    const manager =
      (this.opts as LaneWorkerOptions).renewal === undefined
        ? undefined
        : (this.lockManager as ThreadLockManager);
    manager?.hold(job.id as string, token, job.name);
    try {
      return await super.processJob(...args);
    } finally {
      manager?.release(job.id as string);
    }
  }

  protected override createJob(data: JobJson, jobId: string): ReturnType<Worker["createJob"]> {
    const job = super.createJob(data, jobId);
    takeDeferredEnd(job);
    return job;
  }
}
