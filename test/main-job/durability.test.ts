import { readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { openEngine } from "@taskloom/queue";
import { expect } from "vitest";
import { folderTest, prose, writeFiles } from "../support/files.ts";
import { PrivateRedis } from "../support/private-redis.ts";
import { redisTest } from "../support/redis.ts";
import { TaskloomProcess, taskloom } from "../support/taskloom-process.ts";

/** Enough work that a run is unfinished when it is cut off. */
const files = Object.fromEntries(
  Array.from({ length: 300 }, (_, index) => [`${index % 10}/${index}.txt`, prose(index, 60_000)]),
);

interface Counts {
  readonly files: Record<"loop" | "thread", { readonly completed: number }>;
}

/** Waits until the service behind an address has finished that many jobs of the thread lane. */
async function finished(address: string, atLeast: number): Promise<void> {
  await expect
    .poll(async () => ((await (await fetch(`${address}/queues`)).json()) as Counts).files.thread.completed, {
      timeout: 60_000,
      interval: 20,
    })
    .toBeGreaterThanOrEqual(atLeast);
}

/**
 * Returns the jobs of the interrupted run, split by whether they had finished, with the number of starts of
 * each.
 */
async function jobsOf(
  engineUrl: string,
  runFolder: string,
): Promise<Map<string, { finished: boolean; starts: number }>> {
  const [file] = await readdir(join(runFolder, "runs"));
  const { id } = JSON.parse(await readFile(join(runFolder, "runs", file!), "utf8")) as {
    id: string;
  };
  return await startsOf(engineUrl, id);
}

async function startsOf(
  engineUrl: string,
  runId: string,
): Promise<Map<string, { finished: boolean; starts: number }>> {
  const engine = openEngine(engineUrl);
  await engine.connect();
  const jobs = new Map<string, { finished: boolean; starts: number }>();
  for (const lane of ["files.loop", "files.thread"]) {
    const queue = engine.openQueue(lane);
    for (const job of await queue.getJobs(["completed", "failed", "waiting", "active", "delayed"])) {
      if (job.id?.includes(runId))
        jobs.set(job.id, { finished: job.finishedOn != null, starts: job.attemptsStarted });
    }
    await queue.close();
  }
  await engine.close();
  return jobs;
}

folderTest(
  "kill -9 in the middle: the next start finishes what was queued and redoes nothing",
  { timeout: 120_000 },
  async ({ folder }) => {
    const root = join(folder, "root");
    const data = join(folder, "data");
    await writeFiles(root, files);
    const args = ["demo", root, "--once", "--engine", `embedded:${data}`, "--port", "0", "--threads", "2"];
    const first = new TaskloomProcess(args);
    const [, address] = await first.printed(/(http:\/\/127\.0\.0\.1:\d+)/);
    await finished(address!, 40);
    await first.kill("SIGKILL");

    const before = await jobsOf(`embedded:${data}`, data);
    const done = [...before].filter(([, job]) => job.finished);
    const queued = [...before].filter(([, job]) => !job.finished);
    expect(done.length).toBeGreaterThanOrEqual(40);
    expect(queued.length).toBeGreaterThan(0);
    const runId = (done[0] as [string, unknown])[0].split(/[.-]/)[1]!;
    await rm(join(root, "0/0.txt"), { force: true });
    await rm(join(root, "9/299.txt"), { force: true });

    const second = await taskloom(...args);
    expect(second.stderr).toContain("Going on with the run of");
    expect(second.stdout).toContain(
      `${done.length} of 600 jobs had finished before this start and were not run again.`,
    );
    // If a file was deleted meanwhile and its jobs were unfinished, the file is named, and the run continues.
    const gone = [...second.stderr.matchAll(/^ {2}(\S+): the file no longer exists$/gm)].map(
      ([, path]) => path,
    );
    expect(["0/0.txt", "9/299.txt"]).toEqual(expect.arrayContaining(gone));
    expect(second.stdout).toMatch(new RegExp(`│ total\\s+│\\s+${300 - gone.length} │`));
    expect(second.code).toBe(gone.length === 0 ? 0 : 3);

    const after = await startsOf(`embedded:${data}`, runId);
    expect(after.size).toBe(600);
    expect([...after.values()].every((job) => job.finished)).toBe(true);
    for (const [id, { starts }] of done)
      expect(after.get(id)?.starts, `${id} was finished before the kill`).toBe(starts);

    // The run has ended, so the same command starts a new one.
    const third = new TaskloomProcess(args);
    await third.printed(/http:\/\/127\.0\.0\.1:\d+/);
    const stopped = await third.kill("SIGINT");
    expect(stopped.stderr).not.toContain("Going on with");
    expect(stopped.code).toBe(130);
  },
);

folderTest("three worker processes on an embedded folder", { timeout: 120_000 }, async ({ folder }) => {
  const root = join(folder, "root");
  await writeFiles(root, files);
  const args = [
    "--engine",
    `embedded:${join(folder, "data")}`,
    "--workers",
    "3",
    "--threads",
    "1",
    "--port",
    "0",
  ];
  const ended = await taskloom("demo", root, "--once", ...args);
  expect(ended.stderr).toContain("3 workers with 1 thread;");
  expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/│ total\s+│\s+300 │/) as string });
});

redisTest("the same on Redis, with two worker processes", { timeout: 120_000 }, async ({ redis }) => {
  const root = (await import("node:url")).fileURLToPath(new URL("../../packages/queue/src", import.meta.url));
  const ended = await taskloom(
    "demo",
    root,
    "--once",
    "--engine",
    redis.url,
    "--workers",
    "2",
    "--threads",
    "1",
    "--port",
    "0",
  );
  expect(ended.code).toBe(0);
  const [, total] = /│ total\s+│\s+(\d+) │/.exec(ended.stdout) ?? [];
  const found = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  expect(Number(total)).toBe(found.length);
  expect(ended.stderr).toContain("2 workers with 1 thread;");
});

redisTest(
  "Redis that goes down in the middle and comes back loses nothing",
  { timeout: 120_000 },
  async ({ redis }) => {
    void redis; // The fixture only asserts that Redis can be started; the killed Redis is a private one.
    const server = await PrivateRedis.start({ appendonly: true });
    const { mkdtemp } = await import("node:fs/promises");
    const { tmpdir } = await import("node:os");
    const folder = await mkdtemp(join(tmpdir(), "taskloom-test-"));
    try {
      const root = join(folder, "root");
      await writeFiles(root, files);
      const args = [
        "demo",
        root,
        "--once",
        "--engine",
        server.url,
        "--port",
        "0",
        "--threads",
        "2",
        "--patience",
        "1",
      ];
      const first = new TaskloomProcess(args, { cwd: folder });
      const [, address] = await first.printed(/(http:\/\/127\.0\.0\.1:\d+)/);
      await finished(address!, 40);
      await server.kill();
      const ended = await first.ended;
      expect(ended.stderr).toMatch(/has not answered for 1 s; its jobs are kept/);
      expect(ended.code).toBe(1);

      await server.restart();
      const second = await new TaskloomProcess(args, { cwd: folder }).ended;
      expect(second.stderr).toContain("Going on with the run of");
      expect(second.stdout).toMatch(/│ total\s+│\s+300 │/);
      expect(second.code).toBe(0);
    } finally {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    }
  },
);
