import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import { Queue, QueueEvents } from "bullmq";
import { expect, test as base } from "vitest";

/** How many times a process is killed; the full form runs with `pnpm faults`. */
const kills = process.env["TASKLOOM_FAULTS"] === "full" ? 50 : 4;

interface Processes {
  readonly path: string;
  readonly ledger: string;
  start(milliseconds: number, env?: NodeJS.ProcessEnv): Promise<ChildProcess>;
}

const test = base.extend<{ processes: Processes }>({
  // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
  processes: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "bullmq-sqlite-"));
    const children: ChildProcess[] = [];
    const path = join(folder, "jobs.sqlite");
    const ledger = join(folder, "ledger");
    writeFileSync(ledger, "");
    await use({
      path,
      ledger,
      start: async (milliseconds, env) => {
        const file = fileURLToPath(new URL("fixtures/worker.ts", import.meta.url));
        const child = spawn(
          process.execPath,
          [
            "--conditions=@taskloom/source",
            "--no-warnings",
            file,
            path,
            "shared",
            ledger,
            String(milliseconds),
          ],
          { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env } },
        );
        children.push(child);
        await new Promise<void>((resolve, reject) => {
          child.stdout?.once("data", () => resolve());
          child.once("exit", (code) => reject(new Error(`the worker ended with ${code}`)));
        });
        return child;
      },
    });
    await Promise.all(
      children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        await ended;
      }),
    );
    await rm(folder, { recursive: true, force: true });
  },
});

function starts(ledger: string): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const [, id = "", pid] of readFileSync(ledger, "utf8").matchAll(/^start (\S+) (\d+)$/gm))
    found.set(id, [...(found.get(id) ?? []), Number(pid)]);
  return found;
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

/** Returns the files by which other processes find out whether a process lives. */
function filesOf(path: string, child: ChildProcess): { readonly lock: string; readonly socket: string } {
  const database = new DatabaseSync(path, { readOnly: true });
  const row = database.prepare("SELECT lock, address FROM process WHERE pid = ?").get(child.pid!);
  database.close();
  return { lock: join(dirname(path), String(row?.["lock"])), socket: String(row?.["address"]) };
}

test(
  "another process has a job at once, and its events come back",
  { timeout: 120_000 },
  async ({ processes }) => {
    const { path, ledger } = processes;
    const child = await processes.start(0);
    const queue = new Queue("shared", { connection: { path } }, createSqliteBackend);
    const events = new QueueEvents("shared", { connection: { path } }, createSqliteBackend);
    await events.waitUntilReady();
    const jobs = await Promise.all(Array.from({ length: 50 }, (_, n) => queue.add("job", { n })));
    const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
    expect(new Set(results)).toEqual(new Set([child.pid]));
    expect(starts(ledger).size).toBe(50);
    await Promise.all([events.close(), queue.close()]);
  },
);

test(
  `kill -9 of one of three processes, ${kills} times: nothing is lost, nothing ends twice, the file stays sound`,
  { timeout: 600_000 },
  async ({ processes }) => {
    const { path, ledger } = processes;
    const queue = new Queue("shared", { connection: { path } }, createSqliteBackend);
    const alive = await Promise.all([processes.start(20), processes.start(20), processes.start(20)]);
    const dead = new Set<number>();
    const ids: string[] = [];
    for (let kill = 0; kill < kills; kill++) {
      const added = await queue.addBulk(
        Array.from({ length: 100 }, (_, n) => ({ name: "job", data: { n } })),
      );
      ids.push(...added.map(({ id }) => id!));
      await expect
        .poll(() => starts(ledger).size, { timeout: 60_000, interval: 5 })
        .toBeGreaterThan(kill * 100 + 20);
      const victim = alive.shift()!;
      dead.add(victim.pid!);
      await killed(victim);
      alive.push(await processes.start(20));
    }
    await expect
      .poll(async () => (await queue.getJobCounts("completed")).completed, { timeout: 60_000 })
      .toBe(ids.length);
    expect(await queue.getJobCounts("waiting", "active", "failed", "delayed")).toEqual({
      waiting: 0,
      active: 0,
      failed: 0,
      delayed: 0,
    });
    for (const [id, pids] of starts(ledger)) {
      for (const pid of pids.slice(0, -1))
        expect(dead, `${id} ran again, so its process was killed`).toContain(pid);
    }
    expect(starts(ledger).size).toBe(ids.length);
    await queue.close();
    await Promise.all(alive.map(killed));
    const database = new DatabaseSync(path);
    expect(database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
    database.close();
  },
);

test(
  "a job of a process that dies runs again within a second",
  { timeout: 120_000 },
  async ({ processes }) => {
    const { path, ledger } = processes;
    const first = await processes.start(600_000);
    const queue = new Queue("shared", { connection: { path } }, createSqliteBackend);
    const job = await queue.add("job", {});
    await expect.poll(() => starts(ledger).size, { timeout: 30_000, interval: 10 }).toBe(1);
    const second = await processes.start(600_000);
    await killed(first);
    // Long before the lock of ten minutes lapses.
    await expect
      .poll(() => starts(ledger).get(job.id!), { timeout: 30_000, interval: 10 })
      .toEqual([first.pid, second.pid]);
    await queue.close();
  },
);

test(
  "a process that reads its own lock file loses the lock, and keeps its jobs",
  { timeout: 120_000 },
  async ({ processes }) => {
    const { path, ledger } = processes;
    const queue = new Queue("shared", { connection: { path } }, createSqliteBackend);
    const events = new QueueEvents("shared", { connection: { path } }, createSqliteBackend);
    await events.waitUntilReady();
    // Longer than several looks for dead processes.
    const first = await processes.start(4_000, { READ_FOLDER: "1" });
    const job = await queue.add("job", {});
    await expect.poll(() => starts(ledger).size, { timeout: 30_000, interval: 10 }).toBe(1);
    await processes.start(4_000); // One that comes later looks for dead ones, too.
    expect(await job.waitUntilFinished(events)).toBe(first.pid);
    expect(starts(ledger).get(job.id!)).toEqual([first.pid]);
    await Promise.all([events.close(), queue.close()]);
  },
);

const removals = {
  deleted: (lock: string) => rmSync(lock),
  overwritten: (lock: string) => writeFileSync(lock, "this is no lock any more".repeat(100)),
};

for (const [name, remove] of Object.entries(removals)) {
  test(
    `a process whose lock file was ${name} keeps its jobs while it lives, and loses them when it dies`,
    { timeout: 120_000 },
    async ({ processes }) => {
      const { path, ledger } = processes;
      const queue = new Queue("shared", { connection: { path } }, createSqliteBackend);
      const job = await queue.add("job", {});
      const first = await processes.start(600_000);
      await expect.poll(() => starts(ledger).size, { timeout: 30_000, interval: 10 }).toBe(1);
      remove(filesOf(path, first).lock);
      // The removal of another dead process shows that the others have looked for dead processes.
      const second = await processes.start(600_000);
      const { lock } = filesOf(path, second);
      await killed(second);
      await expect.poll(() => existsSync(lock), { timeout: 30_000, interval: 10 }).toBe(false);
      expect(starts(ledger).get(job.id!)).toEqual([first.pid]);
      const third = await processes.start(600_000);
      await killed(first);
      await expect
        .poll(() => starts(ledger).get(job.id!), { timeout: 30_000, interval: 10 })
        .toEqual([first.pid, third.pid]);
      await queue.close();
    },
  );
}

test(
  "nothing shows the death of a process without its lock file and its socket: its jobs wait for their locks to lapse",
  { timeout: 120_000 },
  async ({ processes }) => {
    const { path, ledger } = processes;
    const queue = new Queue("shared", { connection: { path } }, createSqliteBackend);
    const job = await queue.add("job", {});
    const first = await processes.start(600_000);
    await expect.poll(() => starts(ledger).size, { timeout: 30_000, interval: 10 }).toBe(1);
    const { lock, socket } = filesOf(path, first);
    rmSync(lock);
    rmSync(socket);
    await killed(first);
    // The recovery of another process shows that the others have looked for dead processes.
    const second = await processes.start(600_000);
    const other = await queue.add("job", {});
    await expect
      .poll(() => starts(ledger).get(other.id!), { timeout: 30_000, interval: 10 })
      .toEqual([second.pid]);
    const third = await processes.start(600_000);
    await killed(second);
    await expect
      .poll(() => starts(ledger).get(other.id!), { timeout: 30_000, interval: 10 })
      .toEqual([second.pid, third.pid]);
    expect(await job.getState()).toBe("active");
    expect(starts(ledger).get(job.id!)).toEqual([first.pid]);
    await queue.close();
  },
);

test("processes that leave take their files with them", { timeout: 120_000 }, async ({ processes }) => {
  const { path } = processes;
  const child = await processes.start(0);
  const queue = new Queue("shared", { connection: { path } }, createSqliteBackend);
  await queue.waitUntilReady();
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await ended;
  await queue.close();
  expect(readdirSync(join(path, "..")).toSorted()).toEqual(["jobs.sqlite", "ledger"]);
});
