import { existsSync, readFileSync } from "node:fs";
import { CancelledError } from "@taskloom/loop";
import { TaskQueue, openEngine } from "@taskloom/queue";
import { expect, test } from "vitest";
import { startChild } from "./fixtures/child.ts";
import type { Child } from "./fixtures/child.ts";
import { newFolder } from "./fixtures/folder.ts";
import { hold, where } from "./fixtures/tasks.ts";

// Real processes on one folder; each test submits here and runs elsewhere.

async function startWorker(folder: string): Promise<Child> {
  const child = startChild("worker-process.ts", [`embedded:${folder}`]);
  await child.printed("ready");
  return child;
}

/** The processes in which a held job started, in order. */
function starts(ledger: string): number[] {
  return existsSync(ledger) ? readFileSync(ledger, "utf8").trim().split("\n").map(Number) : [];
}

test("jobs submitted in one process run in another, and their replies come back", async () => {
  const folder = newFolder();
  await using queue = new TaskQueue({ engine: `embedded:${folder}` });
  const early = queue.submit(where); // Before there is any worker.
  await early.sent();
  const child = await startWorker(folder);
  const pids = await Promise.all([early, ...Array.from({ length: 100 }, () => queue.submit(where))]);
  expect(new Set(pids)).toEqual(new Set([child.process.pid]));
  expect(await queue.counts()).toMatchObject({ waiting: 0, active: 0, completed: 101 });
});

test("a cancel reaches the process that runs the job", async () => {
  const folder = newFolder();
  const ledger = `${folder}-ledger`;
  await using queue = new TaskQueue({ engine: `embedded:${folder}` });
  const child = await startWorker(folder);
  const task = queue.submit(hold, ledger);
  await expect.poll(() => starts(ledger), { timeout: 30_000 }).toEqual([child.process.pid]);
  task.cancel("enough");
  await expect(task).rejects.toThrow(CancelledError);
  expect(await queue.counts()).toMatchObject({ active: 0, cancelled: 1 });
  child.process.stdin?.end();
  expect(await child.ended).toContain("ended");
});

test("the job of a process that is killed runs again in another, and is still waited for", async () => {
  const folder = newFolder();
  const ledger = `${folder}-ledger`;
  await using queue = new TaskQueue({ engine: `embedded:${folder}` });
  const first = await startWorker(folder);
  const task = queue.submit(hold, ledger);
  await expect.poll(() => starts(ledger), { timeout: 30_000 }).toHaveLength(1);
  const second = await startWorker(folder);
  first.process.kill("SIGKILL");
  await first.ended;
  // Locks last for a day here: it is the death that gives the job back, not their lapse.
  await expect
    .poll(() => starts(ledger), { timeout: 30_000, interval: 10 })
    .toEqual([first.process.pid, second.process.pid]);
  task.cancel();
  await expect(task).rejects.toThrow(CancelledError);
});

test("a reply goes behind the end of its own run, and behind nothing else", async () => {
  const url = `embedded:${newFolder()}`;
  const engine = openEngine(url);
  await using queue = new TaskQueue({ engine: url });
  await engine.connect();
  const task = queue.submit(where);
  await task.sent();
  const sent = async (attemptsStarted: number): Promise<boolean | undefined> =>
    await engine.replies.sendBehind?.(
      "another-process",
      { id: task.id, outcome: { state: "completed", value: 1 }, attempts: 1 },
      { laneName: "default.loop", id: task.id, attemptsStarted },
    );
  expect(await sent(1), "it waits").toBe(false);
  await startWorker(url.replace("embedded:", ""));
  await task;
  expect(await sent(2), "another run").toBe(false);
  expect(await sent(1)).toBe(true);
  await engine.close();
});
