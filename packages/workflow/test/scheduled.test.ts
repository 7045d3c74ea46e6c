import { TaskQueue, TaskWorker, currentJob, defineTask } from "@taskloom/queue";
import type { JobStart } from "@taskloom/queue";
import {
  checkHistories,
  currentRun,
  defineSignal,
  defineWorkflow,
  step,
  uuid,
  workflowRun,
} from "@taskloom/workflow";
import { expect, test, vi } from "vitest";

const paid = defineSignal<string>("paid");
const note = defineTask({ name: "note" }, (key: string) => `${key} in ${currentJob()?.id}`);

const invoice = defineWorkflow({ name: "invoice" }, async () => {
  const noted = await step(note, uuid());
  return { id: currentRun()!.id, noted, by: await paid.receive() };
});

test("the run of a schedule has one id for its code, its operators and the listeners, and its history is replayed", async () => {
  await using queue = new TaskQueue({ engine: "memory:", name: "scheduled-runs" });
  await queue.schedule("monthly", { every: 3_600_000 }, invoice);
  const starts: JobStart[] = [];
  const steps: string[] = [];
  const ends: string[] = [];
  await using worker = new TaskWorker({
    engine: "memory:",
    queues: [queue.name],
    tasks: [invoice, note],
    onStart: (start) => void starts.push(start),
    onStep: ({ run }) => void steps.push(run),
    onJob: ({ id, state }) => void ends.push(`${id} ${state}`),
  });
  const running = worker.run().catch(() => {});
  await vi.waitFor(() => expect(steps).toHaveLength(1));
  const { id } = starts[0]!;
  expect(id).toMatch(/^workflow\.repeat:monthly:\d+$/);
  expect(steps).toEqual([id]);

  expect(await checkHistories(queue, [invoice])).toMatchObject({ checked: 1, diverged: [] });

  const run = workflowRun(queue, id);
  await run.signal(paid, "ada");
  expect(await run.result()).toMatchObject({ id, by: "ada", noted: expect.stringContaining(id.slice(9)) });
  expect(ends).toContain(`${id} completed`);
  await worker.close();
  await running;
});
