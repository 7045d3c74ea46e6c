import type { KeepJobs, QueueBaseOptions } from "bullmq";

/** The options of a queue or a worker that the backend reads. */
export interface BackendOptions extends QueueBaseOptions<never> {
  readonly name?: string;
  readonly lockDuration?: number;
  readonly maxStalledCount?: number;
  readonly stalledInterval?: number;
  readonly limiter?: { readonly max: number; readonly duration: number };
  readonly metrics?: { readonly maxDataPoints?: number };
  readonly removeOnComplete?: boolean | number | KeepJobs;
  readonly removeOnFail?: boolean | number | KeepJobs;
}

/** BullMQ's default of `lockDuration`. */
export const DEFAULT_LOCK_MS = 30_000;
/** BullMQ's default of `stalledInterval`. */
export const DEFAULT_STALLED_INTERVAL_MS = 30_000;
