import { sleep, TimeoutError } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import { continueAs, defineWorkflow, now, step, submit } from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { describe, expect, test } from "vitest";
import { explored } from "./lives.ts";

const work = defineTask({ name: "work" }, (label: string) => `${label} done`);
const HOUR_MS = 3_600_000;

describe("a run ends at its limit", () => {
  const cleans = defineWorkflow({ name: "cleans" }, function* () {
    const began = now();
    try {
      yield* step(work, "first");
      yield* sleep(HOUR_MS);
    } finally {
      yield* step(work, "clean-up");
      yield* sleep(HOUR_MS);
      yield* step(work, String(now() - began));
    }
  });

  test("its timeout, after its clean-up, whenever a worker dies", async () => {
    const { error, histories } = await explored(cleans, { timeout: 60_000 });
    expect(error).toBeInstanceOf(TimeoutError);
    expect((error as Error).message).toBe(
      "Run workflow.explored (cleans) did not end within its timeout of 60000 ms",
    );
    expect(histories[0]!.join("")).toContain("clean-up");
  });

  test("its deadline, if that is nearer", async () => {
    const { error } = await explored(cleans, { timeout: 60_000, deadline: 50_000 });
    expect((error as Error).message).toMatch(/did not end within the 50000 ms until its deadline$/);
  });

  test("and keeps its own TimeoutError", async () => {
    const own = defineWorkflow({ name: "own" }, function* (): Generator<unknown, void> {
      yield* sleep(1);
      throw new TimeoutError("of the service");
    });
    const { error } = await explored(own, { timeout: 60_000 });
    expect((error as Error).message).toBe("of the service");
  });

  test("in async spelling, too", async () => {
    const async = defineWorkflow({ name: "async" }, async () => {
      await sleep(HOUR_MS);
    });
    const { error } = await explored(async, { timeout: 60_000, maxCrashes: 2 });
    expect(error).toBeInstanceOf(TimeoutError);
  });
});

test("a run whose deadline has passed is not started", async () => {
  let calls = 0;
  const never = defineWorkflow({ name: "never" }, function* () {
    calls++;
  });
  const { error } = await explored(never, { deadline: 0 });
  expect((error as Error).message).toMatch(/was not started, since its deadline had passed 0 ms before/);
  expect(calls).toBe(0);
});

test("a timeout holds for each history, and a deadline for all of them", async () => {
  const counts: WorkflowDefinition<[number], unknown> = defineWorkflow(
    { name: "counts" },
    function* (n: number) {
      yield* sleep(40_000);
      return n === 3 ? "three" : continueAs(counts as never, n + 1);
    },
  );
  const options = { args: [1] as [number], workflows: [counts as never] };
  expect((await explored(counts, { ...options, timeout: 60_000 })).value).toBe("three");
  expect((await explored(counts, { ...options, deadline: 60_000 })).error).toBeInstanceOf(TimeoutError);
});

test("a child has the limit of its submission", async () => {
  const child = defineWorkflow({ name: "child" }, function* () {
    yield* sleep(HOUR_MS);
  });
  const parent = defineWorkflow({ name: "parent" }, function* () {
    try {
      yield* submit.with({ timeout: 1000 })(child);
      return "none";
    } catch (error) {
      return (error as Error).name;
    }
  });
  expect((await explored(parent)).value).toBe("TimeoutError");
});
