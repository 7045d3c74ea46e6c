import { CancelledError, createTask, DeadlockError, Event, gather, run, sleep } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { defineTask } from "@taskloom/queue";
import {
  continueAs,
  currentRun,
  defineSignal,
  defineUpdate,
  defineView,
  defineWorkflow,
  HistoryFullError,
  now,
  onUpdate,
  patched,
  random,
  step,
  StepInterruptedError,
  submit,
  undoing,
  UndoFailedError,
  uuid,
} from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { describe, expect, test } from "vitest";
import { live } from "../src/testing/life.ts";
import type { Story } from "../src/testing/life.ts";
import { explored } from "./lives.ts";

const work = defineTask({ name: "work" }, (label: string) => `${label} done`);
const fails = defineTask({ name: "fails" }, (label: string): string => {
  throw new RangeError(`${label} fails`);
});
const long = defineTask({ name: "long" }, function* (ms: number) {
  yield* sleep(ms);
  return ms;
});

function storyOf(workflow: WorkflowDefinition<[]>): Omit<Story, "dies"> {
  const nothing = { args: [], sent: [], workflows: new Map(), bounds: {}, limits: {} };
  return { workflow: workflow, id: "workflow.once", start: 0, seed: 1, ...nothing };
}

describe("cancel", () => {
  const tidy = defineWorkflow({ name: "tidy" }, function* () {
    const trace: string[] = [];
    try {
      yield* gather([step(long, 10_000), sleep(20_000)]);
    } catch (error) {
      trace.push((error as Error).name, (error as Error).message);
      throw error;
    } finally {
      trace.push(yield* step(work, "clean-up"));
      yield* sleep(1000);
      trace.push(yield* step(work, "more clean-up"));
      shown.set(trace);
    }
  });
  const shown = defineView<string[]>("shown");

  test("reaches a step where it runs; clean-up steps and sleeps, across every crash", async () => {
    const { end, views, histories } = await explored(tidy, { send: [{ at: 500, cancel: "enough" }] });
    expect(end).toEqual({ state: "cancelled", message: "enough" });
    expect(views.get("shown")).toEqual(["CancelledError", "enough", "clean-up done", "more clean-up done"]);
    expect(histories[0]!.some((entry) => entry.includes('["c",1]'))).toBe(true);
  });

  test("of a run that catches it lets the run go on", async () => {
    const stubborn = defineWorkflow({ name: "stubborn" }, async () => {
      try {
        await sleep(10_000);
      } catch (error) {
        if (!(error instanceof CancelledError)) throw error;
      }
      return await step(work, "after all");
    });
    const { value } = await explored(stubborn, { send: [{ at: 5, cancel: "stop" }] });
    expect(value).toBe("after all done");
  });

  test("reaches tasks that are left when the coroutine has returned", async () => {
    const left = defineView<string>("left");
    const leaves = defineWorkflow({ name: "leaves" }, function* () {
      createTask(function* () {
        try {
          yield* sleep(60_000);
        } finally {
          left.set(yield* step(work, "left task"));
        }
      });
      yield* sleep(1);
      return "returned";
    });
    const { value, views } = await explored(leaves);
    expect(value).toBe("returned");
    expect(views.get("left")).toBe("left task done");
  });
});

describe("undoing", () => {
  test("runs compensations in reverse, and then throws the error of the body", async () => {
    const trip = defineWorkflow({ name: "trip" }, function* () {
      yield* undoing(function* (undo) {
        for (const part of ["flight", "hotel"]) {
          yield* step(work, part);
          undo(() => step(work, `undo ${part}`));
        }
        yield* step(fails, "car");
      });
    });
    const { error, histories } = await explored(trip);
    expect(error).toBeInstanceOf(RangeError);
    const steps = histories[0]!.join("\n").match(/"\[\\"undo \w+/g);
    expect(steps?.map((text) => text.slice(4))).toEqual(["undo hotel", "undo flight"]);
  });

  test("runs the others if one fails, and tells of all", async () => {
    const trip = defineWorkflow({ name: "trip" }, async () => {
      await undoing(async (undo) => {
        undo(() => step(work, "undo first"));
        undo(() => step(fails, "undo second"));
        throw new Error("no");
      });
    });
    const { error } = await explored(trip);
    expect(error).toBeInstanceOf(UndoFailedError);
    expect((error as UndoFailedError).errors).toHaveLength(1);
    expect((error as Error).message).toContain("1 of 2 compensations");
  });
});

describe("steps", () => {
  test("count attempts across crashes, and wait between them", async () => {
    const flaky = defineTask(
      { name: "flaky", attempts: 4, backoff: { type: "exponential", delay: 1000, jitter: 0.5 } },
      () => {
        throw new Error("never");
      },
    );
    const retries = defineWorkflow({ name: "retries" }, function* () {
      try {
        yield* step(flaky);
      } catch {
        return now();
      }
      return 0;
    });
    const { histories, value } = await explored(retries, { start: 0 });
    expect(histories[0]!.join("\n").match(/"a",\d/g)).toEqual(['"a",1', '"a",2', '"a",3']);
    expect(value).toBeGreaterThan(3500);
  });

  test("have a time limit", async () => {
    const limited = defineWorkflow({ name: "limited" }, function* () {
      return yield* step.with({ timeout: 500 })(long, 60_000);
    });
    const { error } = await explored(limited, { start: 0 });
    expect(error).toMatchObject({ code: "TIMEOUT" });
  });

  test("that may run once end with an error if their worker dies while they run", async () => {
    const once = defineWorkflow({ name: "once" }, function* () {
      yield* step(work, "before");
      try {
        return yield* step.with({ once: true })(work, "charge");
      } catch (error) {
        if (!(error instanceof StepInterruptedError)) throw error;
        return `interrupted: ${error.code}`;
      }
    });
    const story = storyOf(once);
    const calm = await live({ ...story, dies: () => false });
    expect(calm.end).toEqual({ state: "completed", value: "charge done" });
    expect(calm.world.started).toBe(2);
    const hurt = await live({ ...story, dies: (append, when) => append === 0 && when === "after" });
    expect(hurt.end).toEqual({ state: "completed", value: "interrupted: STEP_INTERRUPTED" });
    expect(hurt.world.started).toBe(1);
  });

  test("of a first tick that may run once are stored before they start", async () => {
    const once = defineWorkflow({ name: "once" }, function* () {
      return yield* step.with({ once: true })(work, "first");
    });
    const story = storyOf(once);
    const before = await live({ ...story, dies: (append, when) => append === 0 && when === "before" });
    expect([before.end, before.world.started]).toEqual([{ state: "completed", value: "first done" }, 1]);
    const after = await live({ ...story, dies: (append, when) => append === 0 && when === "after" });
    expect([after.end.state, after.world.started]).toEqual(["failed", 0]);
  });

  test("run by submit, children included, and take arguments as they were", async () => {
    const child = defineWorkflow({ name: "child" }, function* (n: number) {
      yield* sleep(10);
      return n + 1;
    });
    const parent = defineWorkflow({ name: "parent" }, function* () {
      const list = [1, 2];
      const both = gather([submit(child, 1), submit(long, 5), step(sum, list)]);
      return yield* both;
    });
    const sum = defineTask({ name: "sum" }, (list: number[]) => {
      const total = list.reduce((a, b) => a + b, 0);
      list.length = 0;
      return total;
    });
    const { value, histories } = await explored(parent);
    expect(value).toEqual([2, 5, 3]);
    expect(histories[0]![0]).toContain('[1,"w","child",1,"[1]"],[2,"j","long",1,"[5]"],[3,"s","sum"');
  });
});

describe("from outside", () => {
  const knocked = defineSignal<number>("knocked");

  test("signals are kept in order, before and between their receivers", async () => {
    const listens = defineWorkflow({ name: "listens" }, function* () {
      yield* sleep(100);
      const early = [knocked.receiveNowait(), knocked.receiveNowait(), knocked.receiveNowait()];
      const late = yield* gather([knocked.receive(), knocked.receive()]);
      return { early, late };
    });
    const send = [1, 2, 101, 102].map((at) => ({ at, signal: knocked, payload: at }));
    const { value } = await explored(listens, { send });
    expect(value).toEqual({ early: [1, 2, { $taskloom: "undefined" }], late: [101, 102] });
  });

  test("updates are answered once, those that came before their handler included", async () => {
    const rename = defineUpdate<[name: string], string>("rename");
    const profile = defineWorkflow({ name: "profile" }, function* () {
      let name = "Ada";
      const done = new Event();
      yield* sleep(50);
      onUpdate(rename, function* (next) {
        const before = name;
        name = yield* step(work, next);
        if (next === "last") done.set();
        return before;
      });
      yield* done.wait();
      return name;
    });
    const { value, world } = await explored(profile, {
      send: [
        { at: 10, update: rename, args: ["Bo"], id: "u1" },
        { at: 300, update: rename, args: ["last"], id: "u2" },
      ],
    });
    expect(value).toBe("last done");
    expect(world.answers.get("u1")).toEqual({ state: "completed", value: "Ada" });
    expect(world.answers.get("u2")).toEqual({ state: "completed", value: "Bo done" });
  });

  test("updates that nobody answers are refused at the end", async () => {
    const ask = defineUpdate<[], string>("ask");
    const deaf = defineWorkflow({ name: "deaf" }, function* () {
      yield* sleep(100);
    });
    const { world } = await explored(deaf, { send: [{ at: 1, update: ask, id: "u" }] });
    expect(world.answers.get("u")).toMatchObject({ state: "failed" });
  });
});

test("views ride with their tick, and the last value of a tick counts", async () => {
  const progress = defineView<number>("progress");
  const shows = defineWorkflow({ name: "shows" }, function* () {
    progress.set(1);
    progress.set(2);
    yield* step(work, "a");
    progress.set(3);
    yield* sleep(1);
  });
  const { views, histories } = await explored(shows);
  expect(views.get("progress")).toBe(3);
  expect(histories[0]!.join("\n").match(/\["v",[^\]]*\]/g)).toEqual([
    '["v","progress",2]',
    '["v","progress",3]',
  ]);
});

test("continueAs begins a new history, and carries what nobody has read", async () => {
  const knocked = defineSignal<string>("knocked");
  const counts = defineWorkflow({ name: "counts" }, function* (n: number): Generator<never, string, unknown> {
    yield* sleep(50);
    if (n < 3) return continueAs(counts, n + 1);
    return `${n} ${knocked.receiveNowait()} ${knocked.receiveNowait()} ${uuid()}`;
  });
  const send = [
    { at: 10, signal: knocked, payload: "a" },
    { at: 60, signal: knocked, payload: "b" },
  ];
  const { value, histories } = await explored(counts, { args: [1], send });
  expect(histories).toHaveLength(3);
  expect(value).toMatch(/^3 a b [\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab]/);
});

test("patched is true for new runs, and leaves a mark", async () => {
  const changed = defineWorkflow({ name: "changed" }, function* () {
    const first = patched("2026-11");
    yield* sleep(1);
    return [first, patched("2026-11")];
  });
  const { value, histories } = await explored(changed);
  expect(value).toEqual([true, true]);
  expect(histories[0]!.join("\n").match(/\["p"/g)).toHaveLength(1);
});

test("a run that waits for nothing that can come fails at once", async () => {
  const stuck = defineWorkflow({ name: "stuck" }, function* () {
    yield* step(work, "a");
    yield* new Event().wait();
  });
  const { error } = await explored(stuck);
  expect(error).toBeInstanceOf(DeadlockError);
  expect((error as Error).message).toContain("stuck");
});

test("a full history refuses a command once, leaves room for clean-up, and warns before", async () => {
  const endless = defineWorkflow({ name: "endless", maxHistory: 40 }, function* () {
    let steps = 0;
    try {
      for (;;) {
        yield* step(work, `${steps}`);
        steps++;
      }
    } catch (error) {
      if (!(error instanceof HistoryFullError)) throw error;
      return [steps, yield* step(work, "clean-up"), error.code];
    }
  });
  const { value, world } = await explored(endless, { bounds: { warnTicks: 20 }, maxCrashes: 6 });
  expect(value).toEqual([40, "clean-up done", "HISTORY_FULL"]);
  expect(world.warnings.filter((line) => line.startsWith("HISTORY_LONG"))).toHaveLength(1);
});

test("time, random numbers and the standard ones of a generator are the run's own", async () => {
  const clocks = defineWorkflow({ name: "clocks" }, function* () {
    const before = [now(), Date.now(), new Date().getTime(), random(), Math.random(), crypto.randomUUID()];
    yield* sleep(1000);
    const date = new Date();
    return {
      before,
      after: now(),
      same: Date.now() === now(),
      isDate: date instanceof Date && date.getTime() === now(),
    };
  });
  const { value } = await explored(clocks, { start: 5000 });
  expect(value).toMatchObject({ after: 6000, same: true, isDate: true });
  expect((value as { before: number[] }).before.slice(0, 3)).toEqual([5000, 5000, 5000]);
  expect(Date.now()).toBeGreaterThan(1_700_000_000_000);
  expect(Object.hasOwn(performance, "now") || Object.hasOwn(crypto, "randomUUID")).toBe(false);
});

test("currentRun tells of the run, and logs a line once", async () => {
  const logs = defineWorkflow({ name: "logs" }, async () => {
    const here = currentRun()!;
    here.log(`started ${here.id}`);
    await step(work, "a");
    return [here.id, currentRun()!.historyLength];
  });
  const { value, world } = await explored(logs);
  expect(value).toEqual(["workflow.explored", 1]);
  expect(world.logs).toEqual(["started workflow.explored"]);
  expect(currentRun()).toBeUndefined();
});

test("outside a run, a workflow is a plain coroutine, in virtual time too", async () => {
  const plain = defineWorkflow({ name: "plain" }, function* (ms: number) {
    const begun = now();
    yield* sleep(ms);
    const value = yield* step(long, 5);
    return [now() - begun, value, yield* step.with({ attempts: 2 })(work, "x")];
  });
  const month = 30 * 86_400_000;
  expect(await run(plain(month), { clock: virtualClock() })).toEqual([month + 5, 5, "x done"]);
});
