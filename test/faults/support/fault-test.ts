import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { folderTest } from "../../support/files.ts";
import { PrivateRedis } from "../../support/private-redis.ts";
import { TaskloomProcess } from "../../support/taskloom-process.ts";
import { Ledger } from "./ledger.ts";

/** Whether the counts of the full form apply (`pnpm faults`), or those of the form in every `npm test`. */
export const full: boolean = process.env["TASKLOOM_FAULTS"] === "full";

/**
 * The time for which a loop is blocked, as a multiple of its lock. The full form waits for several more
 * renewals.
 */
export const blockedForLocks: number = full ? 3 : 1.3;

/** Starts worker processes on one engine and one ledger, and ends the remaining ones. */
export class Workers {
  readonly #engine: () => string;
  readonly #ledger: Ledger;
  readonly #started: TaskloomProcess[] = [];

  constructor(engine: () => string, ledger: Ledger) {
    this.#engine = engine;
    this.#ledger = ledger;
  }

  /** A worker in a process of its own, taking jobs. */
  async start(options: WorkerOptions = {}): Promise<TaskloomProcess> {
    const { tasks = "tasks.ts", concurrency = 20, drain = 30, engine = this.#engine(), env = {} } = options;
    const module = fileURLToPath(new URL(tasks, import.meta.url));
    const worker = new TaskloomProcess(
      `worker ${module} --engine ${engine} --queue default --concurrency ${concurrency} --threads 1 --drain ${drain} --port 0`.split(
        " ",
      ),
      { env: { TASKLOOM_LEDGER: this.#ledger.path, ...env } },
    );
    this.#started.push(worker);
    await worker.printed(/ready/);
    return worker;
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.#started.map((worker) => worker.kill("SIGKILL")));
  }
}

export interface WorkerOptions {
  /** A module beside this one. */
  readonly tasks?: string;
  readonly concurrency?: number;
  /** Seconds. */
  readonly drain?: number;
  readonly engine?: string;
  readonly env?: NodeJS.ProcessEnv;
}

const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;

/** A test with a folder, a ledger, a Redis that it may kill, and workers. */
export const faultTest = folderTest.extend<{
  ledger: Ledger;
  appendonly: boolean;
  redis: PrivateRedis;
  workers: Workers;
}>({
  ledger: async ({ folder }, use) => await use(new Ledger(join(folder, "ledger"))),
  appendonly: true,
  redis: async ({ skip, appendonly }, use) => {
    if (!hasRedis)
      return skip(
        "no redis-server on the PATH (Debian: apt-get install redis-server): these tests kill theirs",
      );
    const redis = await PrivateRedis.start({ appendonly });
    await use(redis);
    await redis.stop();
  },
  workers: async ({ redis, ledger }, use) => {
    const workers = new Workers(() => redis.url, ledger);
    await use(workers);
    await workers.stopAll();
  },
});

/** Adds a measurement to the test's line in the report. */
export function measured(what: string): void {
  process.stderr.write(`  measured: ${what}\n`);
}

/**
 * Measures the greatest lateness of a timer of this process, in milliseconds, until the end of the test. A bound of time adds
 * it, since a busy machine delays workers as much.
 */
export function greatestLag(): () => number {
  let greatest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    greatest = Math.max(greatest, performance.now() - last - 50);
    last = performance.now();
  }, 50);
  onTestFinished(() => clearInterval(timer));
  return () => Math.round(greatest);
}

/** Polls a condition every few milliseconds; used where an event has no signal of its own. */
export async function until(what: string, condition: () => boolean, timeout = 60_000): Promise<void> {
  await expect.poll(condition, { timeout, interval: 20, message: what }).toBe(true);
}

/** Waits until a worker has reported a stall under a task, and returns its milliseconds. */
export async function reportedStall(worker: TaskloomProcess, task: string): Promise<number> {
  const name = task.replace(".", String.raw`\.`);
  const [line] = await worker.printed(new RegExp(`^.*stall.*${name}.*$`, "m"));
  return Number(/duration\W+([\d.]+)/.exec(line)?.[1]);
}
