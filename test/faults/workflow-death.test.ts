import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TaskQueue } from "@taskloom/queue";
import { decodeEntry } from "@taskloom/workflow/running";
import { expect, onTestFinished, test } from "vitest";
import { postgresTest } from "../support/postgres.ts";
import { redisTest } from "../support/redis.ts";
import { full, measured } from "./support/fault-test.ts";
import { endOf, RunWorkers } from "./support/workflow-life.ts";
import { appendsOf, resultOf, steps, submitPrograms } from "./support/workflow-programs.ts";

const PROGRAMS = full ? 5_000 : 200;
const DEATHS = full ? 200 : 6;
const TIMEOUT_MS = full ? 3_600_000 : 300_000;
/** The number of workers that live at once, and of programs that one has in memory. */
const WORKERS = 2;
const RUNS = 20;

/**
 * Returns the appends at which workers die: each its own number, counted from its start. One death is drawn in each equal
 * part of the appends of all programs, so that deaths hit programs in all phases.
 */
function deathsOver(appends: number): number[] {
  const points = Array.from({ length: DEATHS }, (_, n) => ((n + Math.random()) / DEATHS) * appends);
  return points.map((point, n) => 1 + Math.floor(point - (points[n - 1] ?? 0)));
}

/** Workers die by kill -9 at appends that are drawn over all programs. Each program must end right. */
async function dies(engine: string): Promise<void> {
  const name = `death-${Math.random().toString(36).slice(2)}`;
  const workers = await RunWorkers.of(engine, name);
  await using queue = new TaskQueue({ engine, name });
  const { trees, all, ended } = await submitPrograms(queue, PROGRAMS);

  const lives = deathsOver(trees.reduce((sum, tree) => sum + appendsOf(tree), 0));
  /** The programs that had ended at each death. */
  const endedAt: number[] = [];
  const occupy = async (): Promise<void> => {
    for (;;) {
      const append = lives.shift();
      if (append === undefined || ended() === PROGRAMS) break;
      const when = endedAt.length % 2 === 0 ? "before" : "after";
      const worker = await workers.start({ runs: RUNS, dies: { append, when } });
      const signal = await Promise.race([endOf(worker), all.then(() => "all ended")]);
      if (signal === "all ended") return;
      expect(signal).toBe("SIGKILL");
      endedAt.push(ended());
    }
    await workers.start({ runs: RUNS });
  };
  const occupied = Promise.all(Array.from({ length: WORKERS }, occupy));
  expect(await all).toEqual(trees.map(resultOf));
  await occupied;

  const deaths = workers.deaths();
  const hit = deaths.flatMap(({ resident }) => resident);
  const { size: programs } = new Set(hit.map(([id]) => id));
  const lengths = hit.map(([, length]) => length);
  measured(
    `${PROGRAMS} programs right, ${deaths.length} of ${DEATHS} deaths, which hit ${hit.length} runs in memory ` +
      `(${programs} different ones) at ${Math.min(...lengths)} to ${Math.max(...lengths)} ticks; ` +
      `${Math.min(...endedAt)} to ${Math.max(...endedAt)} programs had ended`,
  );
  expect(deaths.length).toBeGreaterThanOrEqual(DEATHS * 0.5);
  expect(programs).toBeGreaterThan(deaths.length);
  expect(Math.min(...endedAt)).toBeLessThan(PROGRAMS * 0.4);
  expect(Math.max(...endedAt)).toBeGreaterThan(PROGRAMS * 0.4);
  // A step or job runs again only after the death of the worker that had it.
  const dead = new Set(deaths.map(({ pid }) => pid));
  const lastOf = new Map<string, number>();
  for (const [pid, key] of workers.effects()) {
    const last = lastOf.get(key);
    if (last !== undefined) expect(dead, `${key} ran again`).toContain(last);
    lastOf.set(key, pid);
  }
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
    const workers = await RunWorkers.of(redis.url, name);
    await using queue = new TaskQueue({ engine: redis.url, name });
    const count = 40;
    const first = await workers.start();
    const run = queue.submit(steps, count, 100);
    await expect.poll(() => workers.effects().length, { timeout: 20_000 }).toBeGreaterThan(2);
    first.kill("SIGSTOP");
    const before = workers.effects().length;
    await workers.start();
    await expect.poll(() => workers.effects().length, { timeout: 40_000 }).toBeGreaterThan(before + 2);
    first.kill("SIGCONT");
    expect(await run).toBe((count * (count + 1)) / 2);
    const effects = workers.effects();
    const ofFirst = effects.filter(([pid]) => pid === first.pid).length;
    expect(ofFirst).toBeLessThanOrEqual(before + 1);
    // Only the step under way at the stop runs twice.
    expect(effects.length).toBeLessThanOrEqual(count + 2);
    const entries = await queue.engine.journal.read(`${name}.workflow`, run.id, 0, 500);
    const ends = entries.flatMap((entry) => decodeEntry(entry).deliveries.map(([command]) => command));
    expect(ends).toEqual(Array.from({ length: count }, (_, n) => n + 1));
  },
);
