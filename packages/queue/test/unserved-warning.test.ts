import { once } from "node:events";
import { run } from "@taskloom/loop";
import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { expect, test } from "vitest";

const echo = defineTask({ name: "test.echo" }, async (value: unknown) => value);
const other = defineTask({ name: "test.other" }, async () => {});

test("debug mode warns of a job that no live worker will run", async () => {
  const engine = "memory:unserved";
  await run(
    async () => {
      await using queue = new TaskQueue({ engine });
      const warned = once(process, "warning");
      queue.submit(echo, 1).catch(() => {});
      const [first] = (await warned) as [Error & { code: string }];
      expect(first.code).toBe("JOB_NOT_SERVED");
      expect(first.message).toMatch(/No live worker serves queue default/);
      const worker = new TaskWorker({ engine, tasks: [other] }).run();
      const again = once(process, "warning");
      await queue.submit(other);
      const unknown = defineTask({ name: "test.unknown" }, async () => {});
      queue.submit(unknown).catch(() => {});
      const [second] = (await again) as [Error];
      expect(second.message).toMatch(/knows a task test\.unknown/);
      worker.cancel();
      await worker.catch(() => {});
    },
    { debug: true },
  );
});

test("without debug mode a task has one warning, after five seconds", async () => {
  const engine = "memory:unserved-once";
  const warnings: string[] = [];
  const note = ({ code, message }: Error & { code?: string }): void => {
    if (code === "JOB_NOT_SERVED") warnings.push(message);
  };
  process.on("warning", note);
  await using queue = new TaskQueue({ engine });
  await using worker = new TaskWorker({ engine, tasks: [other] });
  worker.run().catch(() => {});
  await queue.submit(other);
  const job = queue.submit(echo, 1);
  await expect.poll(() => warnings, { timeout: 15_000 }).toHaveLength(1);
  expect(warnings[0]).toMatch(/None of the 1 live worker of queue default knows a task test\.echo/);
  queue.submit(echo, 2).cancel();
  job.cancel();
  await job.catch(() => {});
  process.off("warning", note);
});
