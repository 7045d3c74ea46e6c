// The tasks: one definition each, which this process, a thread and any worker can run.
import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { defineTask } from "@taskloom/queue";

/** A task of the loop lane: it waits for others, so many of them share one event loop. */
export const sendMail = defineTask(
  { name: "mail.send", attempts: 5, backoff: { type: "exponential", delay: 1_000 } },
  async (to: string, subject: string) => {
    await delay(10); // the call of your mail provider
    return `"${subject}" to ${to}`;
  },
);

/** A task of the thread lane: it keeps a processor busy, so it runs on a thread. */
export const digest = defineTask(
  { name: "text.digest", module: import.meta.url, runsOn: "thread" },
  (text: string) => createHash("sha256").update(text).digest("hex"),
);

/** The task of the schedule. */
export const dailyReport = defineTask(
  { name: "report.daily" },
  async (kind: string) => `the ${kind} report of ${new Date().toISOString().slice(0, 10)}`,
);
