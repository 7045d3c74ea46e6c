import { currentJob, defineTask } from "@taskloom/queue";

/** The next version of what `tasks.ts` has. */
export const versioned = defineTask(
  { name: "fault.versioned", version: 2 },
  async () => `version 2, attempt ${currentJob()?.attempt}`,
);
