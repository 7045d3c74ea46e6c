import type { WorkerStats } from "@taskloom/queue";
import type { Stall } from "../demo/stall-meter.ts";
import type { MetricsSnapshot } from "./service-metrics.ts";

/** What a worker process tells the process that started it. */
export type WorkerMessage =
  | { readonly type: "ready" }
  | { readonly type: "stats"; readonly stats: WorkerStats; readonly stall: Stall | undefined }
  | { readonly type: "metrics"; readonly metrics: MetricsSnapshot };

/** What the process that started it asks of a worker process. */
export interface MetricsRequest {
  readonly type: "metrics?";
}

/** How often a worker process tells its numbers, in milliseconds. */
export const statsInterval = 250;
