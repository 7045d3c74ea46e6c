import { randomUUID } from "node:crypto";
import { Event, run as runLoop, sleep } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { TaskQueue, currentJob, defineTask, openEngine } from "@taskloom/queue";
import { afterEach, describe, expect, vi } from "vitest";
import { CronPattern } from "../src/cron/cron-pattern.ts";
import { stores } from "./engines.ts";
import { clockChanges } from "./clock-changes.ts";
import { Pair, pairTest } from "./pair.ts";

const hour = 3_600_000;
const day = 24 * hour;
const nudge = defineTask({ name: "test.nudge" }, async () => {});

/** This machine's clock, put to a time of the test's; BullMQ's schedules go by it. It goes on from there. */
function setClock(time: string | number): void {
  vi.restoreAllMocks();
  const ahead = new Date(time).getTime() - Date.now();
  const now = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => now() + ahead);
}

/** A task that notes the times for which its scheduled runs were meant. */
class Note {
  readonly times: string[] = [];
  #noted = new Event();
  readonly task = defineTask({ name: "test.note" }, async () => {
    const time = /^loop\.repeat:[^:]*:(\d+)$/.exec(currentJob()?.id ?? "")?.[1];
    this.times.push(time === undefined ? "now" : new Date(Number(time)).toISOString());
    this.#noted.set();
  });

  async next(): Promise<void> {
    await this.#noted.wait();
    this.#noted = new Event();
  }
}

/** The engine in memory has a clock of its own; `memory-engine.test.ts` has the same cases in virtual time. */
const withThisClock = stores.filter(({ name }) => name !== "memory");

describe.each(withThisClock)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);
  afterEach(() => vi.restoreAllMocks());

  test.for(clockChanges)(
    "a cron pattern keeps to its zone over the change of the clock: %s",
    async ([_name, when, start, times], { pair }) => {
      setClock(start);
      const note = new Note();
      const queue = await pair.work([note.task, nudge]);
      let { next } = await queue.schedule("over-a-change", when, note.task);
      for (const time of times) {
        expect(new Date(next ?? 0).toISOString()).toBe(time);
        setClock(time);
        await queue.submit(nudge); // A worker sleeps by its timers, which know nothing of the new time.
        await note.next();
        await expect.poll(async () => (await queue.schedules())[0]?.next).not.toBe(next);
        next = (await queue.schedules())[0]?.next;
      }
      expect(note.times).toEqual(times);
    },
  );

  test.for([
    ["a pattern", { cron: "0 * * * *" }],
    ["an interval", { every: hour }],
  ] as const)(
    "runs of %s that were missed while no worker lived are made up for by one",
    async ([_kind, when], { pair }) => {
      setClock("2026-05-01T12:30Z");
      const note = new Note();
      const queue = await pair.work([note.task, nudge]);
      await queue.schedule("hourly", when, note.task);
      if ("every" in when) {
        await note.next();
        expect(note.times.splice(0)).toHaveLength(1); // An interval begins at once.
      }
      await pair.stopWorkers();
      setClock("2026-05-03T12:45Z");
      await pair.work([note.task, nudge]);
      await queue.submit(nudge);
      await note.next();
      await expect.poll(async () => (await queue.schedules())[0]?.next).toBeGreaterThan(Date.now());
      const [schedule] = await queue.schedules();
      expect(schedule?.next).toBeLessThanOrEqual(Date.now() + hour);
      expect(note.times).toHaveLength(1);
    },
  );

  test("a schedule ends at its `until`, and is gone then", async ({ pair }) => {
    setClock("2026-05-01T00:00Z");
    const note = new Note();
    const queue = await pair.work([note.task, nudge]);
    const until = new Date("2026-05-02T18:00Z");
    const schedule = await queue.schedule("short", { cron: "0 12 * * *", timezone: "UTC", until }, note.task);
    expect(schedule.until).toBe(until.getTime());
    for (const time of ["2026-05-01T12:00Z", "2026-05-02T12:00Z"]) {
      setClock(time);
      await queue.submit(nudge);
      await note.next();
    }
    await expect.poll(() => queue.schedules()).toEqual([]);
    setClock("2026-05-03T12:00Z");
    await queue.submit(nudge);
    expect(note.times).toEqual(["2026-05-01T12:00:00.000Z", "2026-05-02T12:00:00.000Z"]);
  });

  test("one whose `until` has passed takes the place of the one before, and never runs", async ({ pair }) => {
    const { queue } = pair;
    const before = await queue.schedule("over", { cron: "0 12 * * *" }, nudge);
    expect(before.next).toBeGreaterThan(Date.now());
    const after = await queue.schedule("over", { cron: "0 12 * * *", until: Date.now() - day }, nudge);
    expect(after.next).toBeUndefined();
    expect(await queue.schedules()).toEqual([]);
    expect(await queue.counts()).toMatchObject({ delayed: 0, waiting: 0 });
  });

  test("one run can be cancelled, and the schedule goes on", async ({ pair }) => {
    setClock("2026-05-01T00:00Z");
    const note = new Note();
    const queue = await pair.work([note.task, nudge]);
    const { next } = await queue.schedule("daily", { cron: "0 12 * * *", timezone: "UTC" }, note.task);
    const id = `repeat:daily:${next}`;
    const run = queue.attach(`loop.${id}`);
    run.cancel("not today");
    // Otherwise its day may come before the cancel does.
    const engine = openEngine(pair.engine);
    const stored = engine.openQueue(`${queue.name}.loop`);
    await expect.poll(async () => (await stored.getJob(id))?.deferredFailure).toMatch("not today");
    await stored.close();
    await engine.close();
    setClock(next ?? 0);
    await expect.poll(() => queue.submit(nudge).then(() => run.done()), { timeout: 10_000 }).toBe(true);
    expect(run.cancelled()).toBe(true);
    await expect.poll(async () => (await queue.schedules())[0]?.next).toBe((next ?? 0) + day);
    setClock((next ?? 0) + day);
    await queue.submit(nudge);
    await note.next();
    expect(note.times).toEqual(["2026-05-02T12:00:00.000Z"]);
  });

  test("is found, run and removed from another process's queue", async ({ pair }) => {
    const note = new Note();
    const queue = await pair.work([note.task, nudge]);
    await queue.schedule("yearly", { cron: "0 0 1 1 *", timezone: "Asia/Tokyo" }, note.task);
    await using other = new TaskQueue({ engine: pair.engine, name: queue.name });
    const [found] = await other.schedules();
    expect(found).toMatchObject({ id: "yearly", cron: "0 0 1 1 *", timezone: "Asia/Tokyo", lane: "loop" });
    await found?.run();
    expect(note.times).toEqual(["now"]);
    expect(await found?.remove()).toBe(true);
    expect(await queue.schedules()).toEqual([]);
  });
});

/** The process warnings with a code, from now on. */
function listenForWarnings(code: string): { readonly messages: string[]; stop(): void } {
  const messages: string[] = [];
  const listener = (warning: Error & { code?: string }): void => {
    if (warning.code === code) messages.push(warning.message);
  };
  process.on("warning", listener);
  return { messages, stop: () => void process.off("warning", listener) };
}

const daily = { cron: "0 0 * * *", timezone: "UTC" } as const;
const dayBefore = Date.parse("2026-05-01T23:00Z");
const lastRun = Date.parse("2026-05-02T00:00Z");

/** Puts the clock to `time`, and ends the calendar with the last run: no pattern of ours runs out of times before. */
function setLastClock(time: number): void {
  setClock(time);
  const next = Reflect.get(CronPattern.prototype, "next");
  vi.spyOn(CronPattern.prototype, "next").mockImplementation(function (this: CronPattern, after) {
    const found = next.call(this, after);
    return found === undefined || found > lastRun ? undefined : found;
  });
}

/** Schedules a last run, beside one that has an `until`, and lets the time of both come. */
async function runLast(pair: Pair, passTime: () => unknown): Promise<void> {
  const note = new Note();
  const queue = await pair.work([note.task, nudge]);
  expect((await queue.schedule("last", daily, note.task)).next).toBe(lastRun);
  await queue.schedule("until", { ...daily, until: lastRun }, nudge);
  await passTime();
  await queue.submit(nudge);
  await note.next();
  await expect.poll(() => queue.schedules()).toEqual([]);
  expect(note.times).toEqual([new Date(lastRun).toISOString()]);
}

describe.each(stores)("on $name", ({ name, test: engineTest }) => {
  const test = pairTest(engineTest);
  afterEach(() => vi.restoreAllMocks());

  test("a schedule without `until` that has no further run in sight is reported as it ends", async ({
    pair,
  }) => {
    const warnings = listenForWarnings("SCHEDULE_ENDED");
    setLastClock(dayBefore);
    if (name === "memory") {
      const body = async (): Promise<void> => {
        const inVirtualTime = new Pair(`memory:${randomUUID()}`);
        await runLast(inVirtualTime, () => sleep(lastRun - dayBefore));
        await inVirtualTime.close();
      };
      await runLoop(body, { clock: virtualClock({ start: dayBefore }) });
    } else {
      await runLast(pair, () => setLastClock(lastRun));
    }
    await expect
      .poll(() => warnings.messages)
      .toEqual([`The schedule "${daily.cron}" has no further run in sight and ends.`]);
    warnings.stop();
  });
});
