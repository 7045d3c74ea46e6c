import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { kinds, onLoop, onThread } from "./fixtures/odd-ends.ts";
import { block, countTo } from "./fixtures/tasks.ts";
import { pairTest } from "./pair.ts";

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("an error that cannot be read ends its own job, in both lanes, and the lane goes on", async ({
    pair,
  }) => {
    const queue = await pair.work([onLoop, onThread, block, countTo]);
    for (const kind of kinds) {
      for (const task of [onLoop, onThread]) {
        const outcome = await queue.submit(task, kind).then(
          () => "completed",
          (error: unknown) => error,
        );
        expect(outcome, `${kind} of ${task.task.name}`).toBeInstanceOf(Error);
      }
    }
    expect(await queue.submit(block, 0)).toBe("blocked");
    expect(await queue.submit(countTo, 1)).toBe(1);
  });
});
