import { currentJob, defineTask } from "@taskloom/queue";

/** The next version of a task of `tasks.ts`. */
export const versioned = defineTask(
  { name: "fault.versioned", version: 2 },
  async () => `version 2, attempt ${currentJob()?.attempt}`,
);
