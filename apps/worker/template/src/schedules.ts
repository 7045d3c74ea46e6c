import type { TaskQueue } from "@taskloom/queue";
import { dailyReport } from "./tasks.ts";

/** Stores the schedules at the engine. A schedule of the same id is replaced, so each start may do it. */
export async function storeSchedules(queue: TaskQueue): Promise<void> {
  await queue.schedule("daily-report", { cron: "0 7 * * *", timezone: "UTC" }, dailyReport, "sales");
}
