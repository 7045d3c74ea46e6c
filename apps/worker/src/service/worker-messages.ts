import type { WorkerStats } from "@taskloom/queue";
import type { Stall } from "../demo/stall-meter.ts";

/** What a worker process tells the process that started it. */
export type WorkerMessage =
  | { readonly type: "ready" }
  | { readonly type: "stats"; readonly stats: WorkerStats; readonly stall: Stall | undefined };

/** How often a worker process tells its numbers, in milliseconds. */
export const statsInterval = 250;
