import type { MetricsSnapshot } from "./job-metrics.ts";
import type { LoopDelay } from "./loop-delay-meter.ts";

/** A message from a worker process to the process that started it. */
export type WorkerMessage =
  | { readonly type: "ready" }
  | { readonly type: "delay"; readonly loopDelay: LoopDelay | undefined }
  | { readonly type: "metrics"; readonly metrics: MetricsSnapshot };

/** A request for metrics, which a worker process receives from the process that started it. */
export interface MetricsRequest {
  readonly type: "metrics?";
}

/** The interval at which a worker process sends the delay of its loop. */
export const DELAY_INTERVAL_MS = 250;
