import { getEventLoop } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import { describe, expect, onTestFinished } from "vitest";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

const echo = defineTask({ name: "listeners.echo" }, async (value: unknown) => value);
const unknown = defineTask({ name: "listeners.unknown" }, async (value: unknown) => value);
const fails = defineTask({ name: "listeners.fails" }, async (): Promise<never> => {
  throw new RangeError("the job's own");
});

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("a listener that throws leaves its job alone, and its error goes to the exception handler", async ({
    pair,
  }) => {
    const reported: string[] = [];
    const loop = getEventLoop();
    loop.setExceptionHandler((_, { message }) => void reported.push(message));
    onTestFinished(() => loop.setExceptionHandler(null));
    const broken = (): never => {
      throw new Error("a broken listener");
    };
    const queue = await pair.work([echo, fails], { onStart: broken, onJob: broken, onUnknown: broken });
    const nobodyKnows = queue.submit(unknown, 2);
    expect(await queue.submit(echo, 1)).toBe(1);
    await expect(queue.submit(fails)).rejects.toThrow("the job's own");
    await expect.poll(() => new Set(reported).size).toBe(3);
    expect(nobodyKnows.done()).toBe(false);
    await pair.work([unknown]);
    expect(await nobodyKnows).toBe(2);
    expect([...new Set(reported)].toSorted()).toEqual(
      ["onJob", "onStart", "onUnknown"].map((name) => `Error in a worker's \`${name}\``),
    );
  });
});
