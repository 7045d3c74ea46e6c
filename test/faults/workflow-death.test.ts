import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TaskQueue } from "@taskloom/queue";
import { decodeEntry } from "@taskloom/workflow/running";
import { expect, onTestFinished, test } from "vitest";
import { postgresTest } from "../support/postgres.ts";
import { redisTest } from "../support/redis.ts";
import { full } from "./support/fault-test.ts";
import { program, resultOf, steps, treeOf } from "./support/workflow-programs.ts";

const PROGRAMS = full ? 200 : 10;
const DEATHS = full ? 20 : 2;
const TIMEOUT_MS = full ? 1_200_000 : 120_000;

const script = fileURLToPath(new URL("support/workflow-worker.ts", import.meta.url));
const endWithParent = new URL("../support/end-with-parent.ts", import.meta.url).href;

/** Starts a worker that takes runs, and kills itself at an append; 0 for never. */
async function startWorker(
  engine: string,
  queue: string,
  ledger: string,
  append: number,
  when: "before" | "after",
): Promise<ChildProcess> {
  const flags = ["--conditions=@taskloom/source", "--no-warnings", `--import=${endWithParent}`];
  const child = spawn(process.execPath, [...flags, script, engine, queue, String(append), when], {
    stdio: ["ignore", "pipe", "inherit", "pipe"],
    env: { ...process.env, TASKLOOM_LEDGER: ledger },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await new Promise<void>((resolve, reject) => {
    child.stdout!.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`a worker ended with ${code} before it was ready`)));
  });
  return child;
}

const endOf = (child: ChildProcess): Promise<NodeJS.Signals | null> =>
  child.signalCode !== null || child.exitCode !== null
    ? Promise.resolve(child.signalCode)
    : new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));

async function newLedger(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "taskloom-death-"));
  onTestFinished(async () => await rm(folder, { recursive: true, force: true }));
  const ledger = join(folder, "ledger");
  await writeFile(ledger, "");
  return ledger;
}

async function effectsOf(ledger: string): Promise<[pid: number, key: string][]> {
  const lines = (await readFile(ledger, "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) => [Number(line.slice(0, line.indexOf(" "))), line.slice(line.indexOf(" ") + 1)]);
}

/** Workers die by kill -9 at random appends, one after the other, until all programs have ended. */
async function dies(engine: string): Promise<void> {
  const name = `death-${Math.random().toString(36).slice(2)}`;
  const ledger = await newLedger();
  await using queue = new TaskQueue({ engine, name });
  const trees = Array.from({ length: PROGRAMS }, (_, n) => treeOf(n + 1));
  const runs = trees.map((tree) => queue.submit(program, tree));
  const ended = Promise.all(runs);
  await Promise.all(runs.map((run) => run.sent()));
  let deaths = 0;
  for (let death = 0; death < DEATHS; death++) {
    const append = 1 + Math.floor(Math.random() * 6);
    const worker = await startWorker(engine, name, ledger, append, death % 2 === 0 ? "before" : "after");
    const signal = await Promise.race([endOf(worker), ended.then(() => "ended" as const)]);
    if (signal === "ended") break;
    expect(signal).toBe("SIGKILL");
    deaths++;
  }
  await startWorker(engine, name, ledger, 0, "before");
  expect(await ended).toEqual(trees.map(resultOf));
  expect(deaths).toBeGreaterThan(0);
  // Each death may repeat the steps under way then, and no others.
  const times = new Map<string, number>();
  for (const [, key] of await effectsOf(ledger)) times.set(key, (times.get(key) ?? 0) + 1);
  expect(Math.max(...times.values())).toBeLessThanOrEqual(1 + deaths);
}

redisTest(
  "on Redis, runs end right whatever append their worker dies at",
  { timeout: TIMEOUT_MS },
  ({ redis }) => dies(redis.url),
);

// oxlint-disable-next-line vitest/expect-expect
postgresTest("on PostgreSQL, too", { timeout: TIMEOUT_MS }, ({ postgres }) => dies(postgres));

// oxlint-disable-next-line vitest/expect-expect
test("on an embedded folder, too", { timeout: TIMEOUT_MS }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "taskloom-death-"));
  onTestFinished(async () => await rm(folder, { recursive: true, force: true }));
  await dies(`embedded:${folder}`);
});

redisTest(
  "a worker that was stopped beyond its lock finds that it has lost its run, and has no more effects",
  { timeout: TIMEOUT_MS },
  async ({ redis }) => {
    const name = `owners-${Math.random().toString(36).slice(2)}`;
    const ledger = await newLedger();
    await using queue = new TaskQueue({ engine: redis.url, name });
    const count = 40;
    const first = await startWorker(redis.url, name, ledger, 0, "before");
    const run = queue.submit(steps, count, 100);
    await expect.poll(async () => (await effectsOf(ledger)).length, { timeout: 20_000 }).toBeGreaterThan(2);
    first.kill("SIGSTOP");
    const before = (await effectsOf(ledger)).length;
    await startWorker(redis.url, name, ledger, 0, "before");
    await expect
      .poll(async () => (await effectsOf(ledger)).length, { timeout: 40_000 })
      .toBeGreaterThan(before + 2);
    first.kill("SIGCONT");
    expect(await run).toBe((count * (count + 1)) / 2);
    const effects = await effectsOf(ledger);
    const ofFirst = effects.filter(([pid]) => pid === first.pid).length;
    expect(ofFirst).toBeLessThanOrEqual(before + 1);
    // Only the step under way at the stop runs twice.
    expect(effects.length).toBeLessThanOrEqual(count + 2);
    const entries = await queue.engine.journal.read(`${name}.workflow`, run.id, 0, 500);
    const ends = entries.flatMap((entry) => decodeEntry(entry).deliveries.map(([command]) => command));
    expect(ends).toEqual(Array.from({ length: count }, (_, n) => n + 1));
  },
);
