import { defineTask, TaskQueue, TaskWorker } from "@taskloom/queue";
import { defineSignal, defineWorkflow, step, workflowRun } from "@taskloom/workflow";
import { expect, test } from "vitest";

const double = defineTask({ name: "run-counts.double" }, async (n: number) => 2 * n);
const note = defineSignal<number>("note");

/** A workflow that runs these steps and then waits for a signal. Its code depends on the numbers. */
function makeWorkflow(numbers: readonly number[]) {
  return defineWorkflow({ name: "run-counts.program", residentFor: 0, check: "off" }, function* () {
    for (const n of numbers) yield* step(double, n);
    return yield* note.receive();
  });
}

async function startWorker(tasks: ConstructorParameters<typeof TaskWorker>[0]["tasks"]): Promise<TaskWorker> {
  const worker = new TaskWorker({ engine: "memory:", queues: ["run-counts"], tasks, onWarning: () => {} });
  worker.run().then(undefined, () => {});
  await worker.ready();
  return worker;
}

test("a worker counts the appends, the replayed ticks and the divergences of its runs", async () => {
  const fits = makeWorkflow([1, 2]);
  await using queue = new TaskQueue({ engine: "memory:", name: "run-counts" });
  const first = await startWorker([fits, double]);
  const run = queue.submit(fits);
  await expect.poll(() => run.state(), { timeout: 20_000 }).toBe("delayed");
  expect(first.stats().runCounts).toEqual({ appends: expect.any(Number), replayed: 0, divergences: 0 });
  expect(first.stats().runCounts.appends).toBeGreaterThanOrEqual(2);
  const { runCounts } = first.stats();
  await first.stop();
  expect(first.stats().runCounts).toEqual(runCounts);

  const changed = await startWorker([makeWorkflow([1, 3]), double]);
  await workflowRun(queue, run).signal(note, 7);
  await expect.poll(() => changed.stats().runCounts.divergences, { timeout: 20_000 }).toBe(1);
  await changed.stop();

  const last = await startWorker([fits, double]);
  expect(await run).toBe(7);
  // Three ticks: the start, and the end of each step.
  expect(last.stats().runCounts).toMatchObject({ replayed: 3, divergences: 0 });
  await last.stop();
});
