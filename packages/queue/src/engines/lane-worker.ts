import { type BackendFactory, type JobJson, Worker, type WorkerOptions } from "bullmq";
import type { ThreadLockManager } from "../worker/lock-renewal.ts";
import { type BullJob, type LaneProcessor, type LaneWorkerOptions, cancelFlag } from "./engine.ts";

/** The reasons of jobs that were cancelled before they started, kept apart from BullMQ's own deferred failures. */
const cancelReasons = new WeakMap<object, string>();

/** Why a job that a worker just took is cancelled; undefined when it is not. */
export function cancelReasonOf(job: BullJob): string | undefined {
  return cancelReasons.get(job);
}

/**
 * BullMQ's worker, taught what the cancel flag means: a flagged job still goes to its processor, which ends it as
 * cancelled. Left to itself BullMQ would fail it, since the flag rides in its field for deferred failures.
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
    const flag = job.deferredFailure;
    if (flag?.startsWith(cancelFlag)) {
      cancelReasons.set(job, flag.slice(cancelFlag.length));
      Reflect.deleteProperty(job, "deferredFailure");
    }
    return job;
  }
}
