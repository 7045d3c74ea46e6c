import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TaskQueue, TaskWorker } from "@taskloom/queue";
import { expect, onTestFinished, test } from "vitest";
import { postgresTest } from "../support/postgres.ts";
import { redisTest } from "../support/redis.ts";
import { parent } from "./support/child-end-tasks.ts";

const TIMEOUT_MS = 60_000;
const script = fileURLToPath(new URL("support/child-end-worker.ts", import.meta.url));
const endWithParent = new URL("../support/end-with-parent.ts", import.meta.url).href;

/** Starts a worker that kills itself when it has stored the end of a job. */
async function startWorker(engine: string, queue: string): Promise<ChildProcess> {
  const flags = ["--conditions=@taskloom/source", "--no-warnings", `--import=${endWithParent}`];
  const child = spawn(process.execPath, [...flags, script, engine, queue], {
    stdio: ["ignore", "pipe", "inherit", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await new Promise<void>((resolve, reject) => {
    child.stdout!.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`a worker ended with ${code} before it was ready`)));
  });
  return child;
}

/** The worker of a job dies behind the turn that stores the end, and no look of the run finds the end. */
async function wakes(engine: string): Promise<void> {
  const name = `child-end-${Math.random().toString(36).slice(2)}`;
  const children = `${name}-children`;
  const worker = new TaskWorker({ engine, queues: [name], tasks: [parent] });
  const lookup = worker.engine.lookup.bind(worker.engine);
  worker.engine.lookup = async (lane, ids) =>
    lane === children ? ids.map(() => ({ kind: "pending" })) : await lookup(lane, ids);
  onTestFinished(() => {
    worker.engine.lookup = lookup;
  });
  const running = worker.run();
  await worker.ready();
  await using queue = new TaskQueue({ engine, name });
  const run = queue.submit(parent, children);
  const lane = queue.engine.openLane(`${name}.workflow`);
  await expect.poll(() => lane.getJobState(run.id), { timeout: 20_000 }).toBe("delayed");
  await lane.close();
  const dying = await startWorker(engine, children);
  const signal = new Promise((resolve) => dying.once("exit", (_code, by) => resolve(by)));
  expect(await run).toBeLessThan(2_000);
  expect(await signal).toBe("SIGKILL");
  running.cancel();
  await Promise.allSettled([running]);
}

// oxlint-disable-next-line vitest/expect-expect
redisTest(
  "on Redis, a run wakes although the worker of its job dies behind the end",
  { timeout: TIMEOUT_MS },
  ({ redis }) => wakes(redis.url),
);

// oxlint-disable-next-line vitest/expect-expect
postgresTest("on PostgreSQL, too", { timeout: TIMEOUT_MS }, ({ postgres }) => wakes(postgres));

// oxlint-disable-next-line vitest/expect-expect
test("on an embedded folder, too", { timeout: TIMEOUT_MS }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "taskloom-death-"));
  onTestFinished(async () => await rm(folder, { recursive: true, force: true }));
  await wakes(`embedded:${folder}`);
});
