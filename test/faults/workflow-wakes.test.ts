import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CancelledError } from "@taskloom/loop";
import { TaskQueue } from "@taskloom/queue";
import type { BullJob } from "@taskloom/queue/lane";
import { LaneQueues } from "@taskloom/queue/operating";
import { expect, onTestFinished, test } from "vitest";
import { postgresTest } from "../support/postgres.ts";
import { redisTest } from "../support/redis.ts";
import { full, greatestLag, measured } from "./support/fault-test.ts";
import { endOf, RunWorkers, startScript } from "./support/workflow-life.ts";
import { waiter } from "./support/workflow-waits.ts";
import type { Waits } from "./support/workflow-waits.ts";

/** The full form has 10,000 parks. More runs at once would wait for a place in workers that die, and not for a wake-up. */
const ROUNDS = full ? 20 : 1;
const PARKS = 500;
/** A run parks two or three times: signals come while it is awake, too. */
const RUNS = PARKS / 2.5;
const WORKER_DEATHS = 3;
const SENDER_DEATHS = 2;
/** A process dies at one of so many of its commands. */
const COMMANDS = { worker: 400, sender: 80 };
const TIMEOUT_MS = full ? 3_600_000 : 300_000;

/**
 * A run ends within this time of the last news for it: a signal, or the end of a job or a child. Its last signal may come
 * while the run still has waits for jobs before it. If a worker was killed that had the run, its job or its child, the run ends
 * within it of the lapse of the locks: 9 seconds on servers, and 5 in a folder, whose processes look for the dead this often.
 * If the worker was killed between the end of a job and its delivery, the run's looks find the end, and their pause is at
 * most the time for which the run has waited, so the lapse counts twice. A machine that is too busy to run this test's own
 * timers in time has longer.
 */
const SOON_MS = 2_000;
const LAPSE_MS = 9_000;

/**
 * Five waits of each run: four for a signal, a job or a child, and a last one for a signal or a cancel. A signal follows the
 * cancel: as in asyncio, a coroutine whose job or child completes in spite of the cancel has its result, and goes on.
 */
function waitsOf(n: number): Waits {
  const any = ["s", "s", "j", "c"] as const;
  const waits: Waits = Array.from({ length: 4 }, () => any[Math.floor(Math.random() * any.length)]!);
  return [...waits, n % 4 === 3 ? "x" : "s"];
}

/**
 * The jobs and children of a run: when the last of them ended, and whether one of them or the run itself was taken back from
 * a dead worker. A worker that dies before the first append of a run has not noted it as in memory.
 */
async function jobsOf(
  lanes: LaneQueues,
  id: string,
  waits: Waits,
): Promise<{ readonly lastEnd: number; readonly recovered: boolean }> {
  const jobs = waits.filter((wait) => wait === "j" || wait === "c");
  const places: (readonly [lane: "loop" | "workflow", id: string])[] = [["workflow", id]];
  for (const [n, wait] of jobs.entries()) {
    const lane = wait === "j" ? "loop" : "workflow";
    places.push([lane, `${lane}.${id}/${n + 1}`]);
  }
  let [lastEnd, recovered] = [0, false];
  for (const [lane, each] of places) {
    const job: unknown = await lanes.lane(lane).getJob(each);
    const { stalledCounter = 0, attemptsStarted = 0, finishedOn = 0 } = (job ?? {}) as Partial<BullJob>;
    if (each !== id) lastEnd = Math.max(lastEnd, finishedOn);
    recovered ||= stalledCounter > 0 || (lane === "loop" && attemptsStarted > 1);
  }
  return { lastEnd, recovered };
}

async function wakes(engine: string, lapse: number): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await wakesOnce(engine, lapse);
}

async function wakesOnce(engine: string, lapse: number): Promise<void> {
  const name = `wakes-${Math.random().toString(36).slice(2)}`;
  const workers = await RunWorkers.of(engine, name);
  await using queue = new TaskQueue({ engine, name });
  const lag = greatestLag();
  const plans = Array.from({ length: RUNS }, (_, n) => waitsOf(n));
  const runs = plans.map((waits) => queue.submit(waiter, waits));
  const endedAt = new Map<string, number>();
  const outcomes = runs.map(async (run) => {
    const outcome = await run.catch((error: unknown) => error);
    endedAt.set(run.id, Date.now());
    return outcome;
  });
  await Promise.all(runs.map((run) => run.sent()));
  await writeFile(join(workers.folder, "runs"), JSON.stringify(runs.map((run, n) => [run.id, plans[n]])));
  await writeFile(join(workers.folder, "confirmed"), "");
  const all = Promise.all(outcomes);

  const deaths = { worker: WORKER_DEATHS, sender: SENDER_DEATHS };
  const deathOf = (side: "worker" | "sender"): { command: number; when: "before" | "after" } | undefined =>
    deaths[side]-- > 0
      ? {
          command: 1 + Math.floor(Math.random() * COMMANDS[side]),
          when: deaths[side] % 2 === 0 ? "before" : "after",
        }
      : undefined;
  const work = async (): Promise<void> => {
    for (;;) {
      const dies = deathOf("worker");
      const worker = await workers.start({ dies, runs: 40 });
      if (dies === undefined || (await Promise.race([endOf(worker), all.then(() => "over")])) === "over")
        return;
    }
  };
  let senders = 0;
  const send = async (): Promise<void> => {
    for (let signal: NodeJS.Signals | null = "SIGKILL"; signal !== null; senders++) {
      const args = [engine, name, workers.folder, JSON.stringify(deathOf("sender") ?? null)];
      const sender = await startScript("workflow-sender.ts", args, {});
      signal = await endOf(sender);
      if (signal === null) expect(sender.exitCode).toBe(0);
    }
  };
  const processes = Promise.all([work(), work(), send()]);
  const [results] = await Promise.all([all, processes]);

  let outlived = 0;
  for (const [n, waits] of plans.entries()) {
    const isCancelled = results[n] instanceof CancelledError;
    if (waits.join("") === "ssssx") expect(results[n]).toBeInstanceOf(CancelledError);
    else if (!isCancelled) expect(results[n]).toEqual([0, 1, 2, 3, 4]);
    if (waits.at(-1) !== "x") expect(isCancelled).toBe(false);
    else if (!isCancelled) outlived++;
  }
  const lastSignal = new Map<string, number>();
  for (const line of (await readFile(join(workers.folder, "confirmed"), "utf8")).split("\n").slice(0, -1)) {
    const [id, , at] = line.split(" ") as [string, string, string];
    lastSignal.set(id, Number(at));
  }
  const killed = workers.deaths();
  const effects = workers.effects();
  const late = { calm: [0], killed: [0] };
  let resumed = 0;
  const lanes = new LaneQueues(queue.engine, name);
  for (const [n, { id }] of runs.entries()) {
    const jobs = await jobsOf(lanes, id, plans[n]!);
    const hits = killed.filter(
      ({ pid, resident }) =>
        jobs.recovered ||
        resident.some(([each]) => each.includes(id)) ||
        effects.some(([worker, key]) => worker === pid && key.includes(id)),
    );
    const since = Math.max(lastSignal.get(id)!, jobs.lastEnd, ...hits.map(({ at }) => at + 2 * lapse));
    late[hits.length > 0 ? "killed" : "calm"].push(endedAt.get(id)! - since);
    resumed += (await queue.engine.journal.head(`${name}.workflow`, id))?.epoch ?? 0;
  }
  await lanes.close();
  await workers.end();
  measured(
    `${RUNS} runs right, ${outlived} outlived their cancel, which were opened ${resumed} times after their start; ${killed.length} workers and ${senders - 1} senders killed; ` +
      `latest end ${Math.max(...late.calm)} ms after the last news, and of ${late.killed.length - 1} runs in killed workers ` +
      `${Math.max(...late.killed)} ms after the lapse; a timer of this process was up to ${lag()} ms late`,
  );
  expect(killed.length).toBeGreaterThan(0);
  expect(senders).toBeGreaterThan(1);
  expect(resumed).toBeGreaterThan(0.75 * PARKS);
  // A bound of time depends on the machine's disk and load, so only the full form has it.
  if (full) {
    expect(Math.max(...late.calm)).toBeLessThan(SOON_MS + 4 * lag());
    expect(Math.max(...late.killed)).toBeLessThan(SOON_MS + 4 * lag());
  }
}

redisTest(
  "on Redis, no wake-up is lost, whatever command senders and workers die at",
  { timeout: TIMEOUT_MS },
  ({ redis }) => wakes(redis.url, LAPSE_MS),
);

// oxlint-disable-next-line vitest/expect-expect
postgresTest("on PostgreSQL, too", { timeout: TIMEOUT_MS }, ({ postgres }) => wakes(postgres, LAPSE_MS));

// oxlint-disable-next-line vitest/expect-expect
test("on an embedded folder, too", { timeout: TIMEOUT_MS }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "taskloom-wakes-"));
  onTestFinished(async () => await rm(folder, { recursive: true, force: true }));
  await wakes(`embedded:${folder}`, 5_000);
});
