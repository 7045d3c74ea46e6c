import { openEngine, TaskQueue, TaskWorker } from "@taskloom/queue";
import { laneQueueName } from "@taskloom/queue/lane";
import { workflowRun } from "@taskloom/workflow";
import { DelayedError } from "bullmq";
import { expect, test } from "vitest";
import { a, b, changes, fails, next, other, workflow } from "./changes.ts";
import { explored } from "./lives.ts";

const ID = "workflow.explored";

/** Stores a history as that of a run, and parks the run, which is due at once. */
async function store(url: string, name: string, history: readonly string[]): Promise<void> {
  const engine = openEngine(url);
  const lane = laneQueueName(name, "workflow");
  const { promise: left, resolve } = Promise.withResolvers<void>();
  const owner = engine.openWorker(
    lane,
    async (job, token) => {
      const { epoch, generation, read } = (await engine.journal.open(lane, job.id!, token!))!;
      const place = { epoch, generation };
      await engine.journal.append(lane, [{ id: job.id!, ...place, at: 0, entries: history, consume: read }]);
      const until = engine.now();
      await engine.journal.park(lane, job.id!, { ...place, token: token!, read, until });
      resolve();
      throw new DelayedError();
    },
    { autorun: false, concurrency: 1, lockDuration: 60_000, stalledInterval: 60_000 },
  );
  await owner.waitUntilReady();
  void owner.run();
  await left;
  await owner.close(true);
  await engine.close();
}

test.each(changes)("in a worker, $change puts the run back, and the old code ends it", async (changed) => {
  const { old, code, says, send = [] } = changed;
  const { histories } = await explored(workflow(old), { send, maxCrashes: 1, workflows: [next as never] });
  const engine = "memory:";
  const queue = new TaskQueue({ engine, name: `changes-${changes.indexOf(changed)}` });
  const run = queue.with({ id: ID.slice("workflow.".length) }).submit(workflow(old));
  const ended = run.then(
    () => "ended",
    () => "ended",
  );
  await run.sent();
  await store(engine, queue.name, histories[0]!);

  const warnings: { code: string; message: string }[] = [];
  const work = async (body: typeof old): Promise<() => Promise<void>> => {
    const worker = new TaskWorker({
      engine,
      queues: [queue.name],
      tasks: [workflow(body), next, other, a, b, fails],
      onWarning: (warning) => warnings.push(warning),
      drain: 0,
    });
    const running = worker.run().catch(() => {});
    await worker.ready();
    return async () => {
      await worker.close();
      await running;
    };
  };
  const stop = await work(code);
  await expect.poll(() => warnings.length, { timeout: 20_000 }).toBe(1);
  expect(warnings[0]!.code).toBe("REPLAY_DIVERGED");
  for (const pattern of says) expect(warnings[0]!.message).toMatch(pattern);
  const status = await workflowRun(queue, ID).status();
  expect(status.state).not.toBe("failed");
  expect(status.length).toBe(histories[0]!.length);
  await stop();

  const stopOld = await work(old);
  expect(await ended).toBe("ended");
  expect(warnings).toHaveLength(1);
  await stopOld();
  await queue.close();
});
