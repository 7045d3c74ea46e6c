import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue } from "@taskloom/queue";
import { decodeEntry } from "@taskloom/workflow/running";
import { expect, onTestFinished } from "vitest";
import { postgresTest } from "../support/postgres.ts";
import { redisTest } from "../support/redis.ts";
import { full, measured, until } from "./support/fault-test.ts";
import { TcpProxy } from "./support/tcp-proxy.ts";
import type { CutWhen } from "./support/tcp-proxy.ts";
import { RunWorkers } from "./support/workflow-life.ts";
import { resultOf, submitPrograms } from "./support/workflow-programs.ts";

const PROGRAMS = full ? 2_000 : 60;
const TIMEOUT_MS = full ? 3_600_000 : 300_000;
/** The number of programs that the worker has in memory. */
const RUNS = 10;
/** The effects of steps and jobs between two cuts, at most. */
const EFFECTS_BETWEEN = 40;
const MOMENTS: readonly CutWhen[] = ["asked", "answered"];

/**
 * Cuts all connections of a worker at its appends: before the server has the append, and before the worker has the answer. The
 * worker lives on, and a step whose end it could not store must not run again.
 *
 * @param append returns a text that only commands with a new entry of a log have.
 */
async function cuts(engine: string, append: () => string): Promise<void> {
  const name = `cut-${Math.random().toString(36).slice(2)}`;
  const proxy = await TcpProxy.to(engine);
  onTestFinished(() => proxy.close());
  const workers = await RunWorkers.of(proxy.url, name);
  await using queue = new TaskQueue({ engine, name });
  const { trees, runs, all, ended } = await submitPrograms(queue, PROGRAMS);
  const worker = await workers.start({ runs: RUNS });
  let count = 0;
  const over = all.then(() => undefined);
  for (;;) {
    await Promise.race([proxy.cutAt(append(), MOMENTS[count % MOMENTS.length]!), over]);
    if (ended() === PROGRAMS) break;
    count++;
    await delay(20);
    proxy.mend();
    // The append whose connection was cut is repeated after a pause, and must not be cut each time.
    const enough = workers.effects().length + EFFECTS_BETWEEN * Math.random();
    await until("the worker goes on", () => ended() === PROGRAMS || workers.effects().length > enough);
  }
  expect(await all).toEqual(trees.map(resultOf));
  expect(worker.exitCode).toBeNull();
  const effects = workers.effects();
  const keys = effects.map(([, key]) => key);
  let appends = 0;
  for (const { id } of runs) {
    const entries = await queue.engine.journal.read(`${name}.workflow`, id, 0, 500);
    const ends = entries.flatMap((entry) => decodeEntry(entry).deliveries.map(([command]) => command));
    expect(new Set(ends).size, id).toBe(ends.length);
    appends += entries.length;
  }
  measured(
    `${PROGRAMS} programs right, ${appends} entries, ${count} cuts at an append, ${keys.length} effects`,
  );
  expect(count).toBeGreaterThan(2 * MOMENTS.length);
  expect(new Set(keys).size, "no step and no job has run again").toBe(keys.length);
}

redisTest(
  "on Redis, runs end right and no step runs again, whatever append the connection is cut at",
  { timeout: TIMEOUT_MS },
  // An entry begins with its time, and RESP puts each text on a line of its own.
  ({ redis }) => cuts(redis.url, () => `\r\n[${String(Date.now()).slice(0, 7)}`),
);

// oxlint-disable-next-line vitest/expect-expect
postgresTest("on PostgreSQL, too", { timeout: TIMEOUT_MS }, ({ postgres }) =>
  cuts(postgres, () => "taskloom_append_v1"),
);
