import { threadId } from "node:worker_threads";
import { defineTask } from "@taskloom/queue";

/** A task of the thread lane: its module is imported on the thread. */
export const onThread = defineTask(
  { name: "lane.onThread", module: import.meta.url, runsOn: "thread" },
  (n: number) => [n * n, threadId > 0] as const,
);
