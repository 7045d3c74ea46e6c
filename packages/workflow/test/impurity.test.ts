import { createTask, ensureFuture, Future, sleep } from "@taskloom/loop";
import type { Awaitable } from "@taskloom/loop";
import { DrivenLoop } from "@taskloom/loop/durable";
import { toThread } from "@taskloom/offload";
import { defineTask } from "@taskloom/queue";
import { defineWorkflow, step } from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { exploreCrashes } from "@taskloom/workflow/testing";
import { afterEach, describe, expect, test, vi } from "vitest";
import { explored } from "./lives.ts";

const work = defineTask({ name: "work" }, (value: unknown) => String(value));

/** Copies that a module took at its top, which no stand-in reaches. */
const { random } = Math;
const RealDate = Date;
let calls = 0;

const define = (fn: () => Awaitable<unknown>): WorkflowDefinition<[]> =>
  defineWorkflow({ name: "impure" }, fn) as WorkflowDefinition<[]>;

afterEach(() => {
  vi.restoreAllMocks();
});

const unrecorded: readonly (readonly [name: string, read: () => unknown])[] = [
  ["Date", () => new RealDate(1000 * ++calls).getTime()],
  ["random numbers", () => random()],
  ["a global", () => ++calls],
];

describe.each(unrecorded)("%s that is read without a record is found by the first replay", (_name, read) => {
  const diverges = { code: "REPLAY_DIVERGED", message: expect.stringContaining("something unrecorded") as unknown };

  test("in a generator", async () => {
    const impure = define(function* () {
      yield* sleep(5);
      return yield* step(work, read());
    });
    await expect(exploreCrashes(impure, { seeds: 1 })).rejects.toMatchObject(diverges);
  });

  test("in an async function", async () => {
    const impure = define(async () => {
      await sleep(5);
      return await step(work, read());
    });
    await expect(exploreCrashes(impure, { seeds: 1 })).rejects.toMatchObject(diverges);
  });

  test("in a result alone", async () => {
    const impure = define(function* () {
      yield* sleep(5);
      return read();
    });
    await expect(exploreCrashes(impure, { seeds: 1 })).rejects.toMatchObject({ code: "REPLAY_DIVERGED" });
  });
});

test("Date.now and Math.random in an async function are found, too", async () => {
  let now = 0;
  vi.spyOn(Date, "now").mockImplementation(() => (now += 1000));
  const impure = define(async () => await step(work, [Date.now(), Math.random()]));
  await expect(exploreCrashes(impure, { seeds: 1 })).rejects.toMatchObject({ code: "REPLAY_DIVERGED" });
});

test("a branch on a global is found when a crash comes", async () => {
  let life = 0;
  const impure = define(function* () {
    const isLater = life++ > 0;
    return yield* step(work, isLater ? "b" : "a");
  });
  await expect(exploreCrashes(impure, { seeds: 1 })).rejects.toMatchObject({ code: "REPLAY_DIVERGED" });
});

const outside: readonly (readonly [name: string, make: () => Awaitable<unknown>])[] = [
  ["an unrecorded promise", () => ensureFuture(Promise.resolve(1))],
  ["a call on a thread", () => toThread(Math.sqrt as (n: number) => number, 4)],
  ["a future of another loop", () => new Future<number>({ loop: new DrivenLoop(0) })],
];

describe.each(outside)("%s is refused in the first run", (_name, make) => {
  test("at the line of a generator", async () => {
    const { error } = await explored(
      define(function* () {
        yield* sleep(5);
        return (yield* make() as Future<unknown>) as unknown;
      }),
    );
    expect(error).toMatchObject({ code: "DURABLE_OUTSIDE" });
    expect((error as Error).message).toMatch(/ at impurity\.test\.ts:\d+/);
  });

  test("in an async function", async () => {
    const { error } = await explored(
      define(async () => {
        await sleep(5);
        return await make();
      }),
    );
    expect(error).toMatchObject({ code: "DURABLE_OUTSIDE" });
  });
});

test("an async function that awaits a native promise fails when the run rests, with its name", async () => {
  const { error } = await explored(
    define(async () => {
      const branch = createTask(
        async () => {
          await new Promise((resolve) => setTimeout(resolve, 60_000).unref());
        },
        { name: "fetches" },
      );
      await branch;
    }),
  );
  expect(error).toMatchObject({ code: "DURABLE_OUTSIDE" });
  expect((error as Error).message).toContain("name='fetches'");
});
