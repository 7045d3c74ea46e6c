import { gather, run as runLoop, sleep } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { defineWorkflow, now, step, submit } from "@taskloom/workflow";
import { expect, test } from "vitest";

const double = defineTask({ name: "lane.double" }, async (n: number) => 2 * n);
const HOUR_MS = 3_600_000;

test("a first program: steps, a job, a child and an hour of sleep in virtual time", async () => {
  const child = defineWorkflow({ name: "lane.child" }, function* (n: number) {
    yield* sleep(HOUR_MS);
    return yield* step(double, n);
  });
  const program = defineWorkflow({ name: "lane.program" }, function* (n: number) {
    const begin = now();
    const one = yield* step(double, n);
    const [two, three, four] = yield* gather([step(double, one), submit(double, one), submit(child, one)]);
    yield* sleep(HOUR_MS);
    return [one, two, three, four, Math.floor((now() - begin) / HOUR_MS)];
  });
  const warnings: string[] = [];
  const result = await runLoop(
    async () => {
      const tasks = [double, child, program];
      const worker = new TaskWorker({
        engine: "memory:",
        tasks,
        onWarning: ({ message }) => warnings.push(message),
      });
      const running = worker.run();
      await using queue = new TaskQueue({ engine: worker.engine });
      const value = await queue.submit(program, 1);
      running.cancel();
      await running.catch(() => {});
      return value;
    },
    { clock: virtualClock() },
  );
  expect(result).toEqual([2, 4, 4, 4, 2]);
  expect(warnings).toEqual([]);
});
