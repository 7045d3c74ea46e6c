import { getEventLoop } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import { describe, expect, onTestFinished } from "vitest";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

/** A task that fails twice. */
function flaky(name: string, failures: unknown[]): (value: string) => Promise<string> {
  return async (value) => {
    if (failures.length < 2) throw new RangeError(`${name} ${failures.push(value)}`);
    return value;
  };
}

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("a function and a cap decide the wait of a job, and of an item of a map", async ({ pair }) => {
    const asked: unknown[] = [];
    const backoff = (attempt: number, error: unknown): number => {
      asked.push([attempt, (error as Error).message]);
      return 1;
    };
    const byFunction = defineTask({ name: "test.f", attempts: 3, backoff }, flaky("f", []));
    const mapped = defineTask({ name: "test.m", attempts: 3, backoff }, flaky("m", []));
    const capped = defineTask(
      { name: "test.c", attempts: 3, backoff: { type: "exponential", delay: 3_600_000, maxDelay: 1 } },
      flaky("c", []),
    );
    const queue = await pair.work([byFunction, mapped, capped]);
    expect(await queue.submit(byFunction, "f")).toBe("f");
    expect(await queue.submit(capped, "c")).toBe("c");
    expect(await queue.map(mapped, ["m"]).toArray()).toEqual(["m"]);
    expect(asked).toEqual([
      [1, "f 1"],
      [2, "f 2"],
      [1, "m 1"],
      [2, "m 2"],
    ]);
  });

  test("a back-off function that throws, and a hook that rejects, break no job", async ({ pair }) => {
    const reported: unknown[] = [];
    const loop = getEventLoop();
    loop.setExceptionHandler((_, { exception }) => void reported.push((exception as Error).message));
    const warnings: string[] = [];
    const warn = (warning: Error & { code?: string }): void => {
      if (warning.code === "BACKOFF_FAILED") warnings.push(warning.message);
    };
    process.on("warning", warn);
    onTestFinished(() => {
      loop.setExceptionHandler(null);
      process.off("warning", warn);
    });
    const failures = ["one before"];
    const task = defineTask(
      {
        name: "test.t",
        attempts: 2,
        backoff: () => {
          throw new Error("no wait");
        },
      },
      flaky("t", failures),
    );
    const states: string[] = [];
    const onJob = async ({ state, attempt }: { state: string; attempt: number }): Promise<void> => {
      states.push(`${state} ${attempt}`);
      throw new Error("a broken hook");
    };
    const queue = await pair.work([task], { onJob });
    expect(await queue.submit(task, "t")).toBe("t");
    await expect.poll(() => states).toEqual(["retrying 1", "completed 2"]);
    await expect.poll(() => reported).toEqual(["a broken hook", "a broken hook"]);
    expect(warnings).toEqual([expect.stringMatching(/after attempt 1, .* waits 1000 ms: no wait$/)]);
  });
});
