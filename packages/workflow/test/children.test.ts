import { describe, expect, test } from "vitest";
import { gather, sleep, timeout, TimeoutError } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import { continueAs, defineWorkflow, now, step, submit } from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";
import { exploreCrashes } from "@taskloom/workflow/testing";
import { explored } from "./lives.ts";

const work = defineTask({ name: "work" }, (what: string) => `${what} done`);

const child = defineWorkflow({ name: "child" }, function* (name: string) {
  const first = yield* step(work, `${name} 1`);
  yield* sleep(1000);
  return [first, yield* step(work, `${name} 2`), now()];
});

describe("child workflows", () => {
  test("have a history of their own, and outlive the worker of their parent", async () => {
    let lives = 0;
    const noted = defineWorkflow({ name: "noted" }, function* () {
      lives++;
      yield* sleep(1000);
      return yield* step(work, "child");
    });
    const parent = defineWorkflow({ name: "parent" }, function* () {
      const [a, b] = yield* gather([submit(noted), step(work, "parent")]);
      return [a, b, yield* submit(child, "late")];
    });
    const { value, histories } = await explored(parent, { seeds: [1, 2, 3] });
    expect(value).toEqual(["child done", "parent done", ["late 1 done", "late 2 done", expect.any(Number)]]);
    // The child's step is no command of the parent.
    expect(histories[0]!.join("\n")).not.toContain("late 1\\");
    expect(lives).toBeGreaterThan(3);
  });

  test("fail with their own error, and continue as another history", async () => {
    const fails = defineWorkflow({ name: "fails" }, function* () {
      yield* step(work, "before");
      throw new RangeError("the child fails");
    });
    const counts: WorkflowDefinition<[number], unknown> = defineWorkflow(
      { name: "counts" },
      function* (n: number) {
        yield* step(work, String(n));
        return n === 3 ? "three" : continueAs(counts as never, n + 1);
      },
    );
    const parent = defineWorkflow({ name: "parent" }, function* () {
      const [error, end] = yield* gather([submit(fails), submit(counts, 1)], { returnExceptions: true });
      return [String(error), end];
    });
    const { value } = await explored(parent, { workflows: [counts as never] });
    expect(value).toEqual(["RangeError: the child fails", "three"]);
  });

  test("that are cancelled end after their clean-up, whenever the parent's worker dies", async () => {
    const cleans = defineWorkflow({ name: "cleans" }, function* () {
      try {
        yield* sleep(1e6);
      } finally {
        yield* sleep(500);
        yield* step(work, "clean-up");
      }
    });
    const parent = defineWorkflow({ name: "parent" }, function* () {
      const began = now();
      try {
        yield* timeout(2000, submit(cleans));
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error;
      }
      return now() - began;
    });
    const { value } = await explored(parent, { seeds: [1, 2, 3] });
    expect(value).toBeGreaterThan(2500);
  });
});

test("each history of a run that continues is replayed", async () => {
  let reads = 0;
  const second = defineWorkflow({ name: "second" }, function* () {
    yield* step(work, `read ${++reads}`);
  });
  const first = defineWorkflow({ name: "first" }, function* () {
    yield* step(work, "first");
    return continueAs(second);
  });
  const found = exploreCrashes(first, { seeds: 1, maxCrashes: 0, workflows: [second as never] });
  await expect(found).rejects.toThrow(/REPLAY_DIVERGED.*\n.*read 1.*\n.*read 2/);
});
