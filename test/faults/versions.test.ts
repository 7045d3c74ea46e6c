import { TaskQueue } from "@taskloom/queue";
import { expect } from "vitest";
import { faultTest } from "./support/fault-test.ts";
import * as next from "./support/tasks-next.ts";
import * as old from "./support/tasks.ts";

faultTest(
  "a task's new version waits while there are only old workers, is reported, and is done when a new one comes",
  { timeout: 120_000 },
  async ({ redis, workers }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    const oldWorker = await workers.start();
    const task = queue.submit(next.versioned);
    await oldWorker.printed(new RegExp(`job ${task.id} needs version 2 of task fault\\.versioned`));
    expect(task.done()).toBe(false);
    expect(await queue.submit(old.versioned)).toBe("version 1");

    await workers.start({ tasks: "tasks-next.ts" });
    expect(await task).toBe("version 2, attempt 1");
    // The new worker also puts back jobs that only the old worker knows.
    expect(await Promise.all(Array.from({ length: 10 }, () => queue.submit(old.versioned)))).toEqual(
      Array.from({ length: 10 }, () => "version 1"),
    );
    expect(await queue.counts()).toMatchObject({ waiting: 0, delayed: 0, failed: 0, completed: 12 });
  },
);
