import { describe, expect, it } from "vitest";
import { registerErrorClass } from "@taskloom/loop";
import { PoolClosedError, ThreadDiedError, threadObject } from "../src/index.ts";
import type { ThreadObject, ThreadObjectOptions } from "../src/index.ts";
import { OutOfStock } from "./fixtures/jobs.ts";
import type { Counter } from "./fixtures/jobs.ts";
import { changed, failure, words } from "./support.ts";
import type { Jobs } from "./support.ts";

function make(start = 0, options?: ThreadObjectOptions): Promise<ThreadObject<Counter>> {
  return threadObject<Jobs, "Counter">("./fixtures/jobs.ts", "Counter", [start], options);
}

describe("threadObject", () => {
  it("keeps its state on a thread, and its methods are tasks", async () => {
    await using counter = await make(5);
    expect(await counter.increment()).toBe(6);
    expect(await counter.increment(10)).toBe(16);
    const heard: number[] = [];
    await counter.tell((n) => heard.push(n));
    expect(heard).toEqual([0, 1, 2]);
  });

  it("runs methods one at a time in the order they are called, or in parallel when asked", async () => {
    await using counter = await make();
    const all = [counter.slowly("a", 20), counter.slowly("b", 0), counter.slowly("c", 5)];
    expect(await Promise.all(all)).toEqual(["a", "b", "c"]);
    expect(await counter.getLog()).toEqual([
      "a begins",
      "a ends",
      "b begins",
      "b ends",
      "c begins",
      "c ends",
    ]);
    await using together = await make(0, { parallel: true });
    await Promise.all([together.slowly("a", 20), together.slowly("b", 0)]);
    expect(await together.getLog()).toEqual(["a begins", "b begins", "b ends", "a ends"]);
  });

  it("has errors as themselves, from methods and from the constructor", async () => {
    registerErrorClass(OutOfStock);
    await using counter = await make();
    expect(await failure(counter.fail())).toBeInstanceOf(OutOfStock);
    expect(await failure(make(-1))).toMatchObject({ name: "OutOfStock", sku: "counters" });
    const missing = threadObject<{ Nothing: new () => object }, "Nothing">(
      "./fixtures/jobs.ts",
      "Nothing",
      [],
    );
    expect(await failure(missing)).toMatchObject({ code: "NOT_THREADABLE" });
  });

  it("cancels a method: taken out before it begins, asked to stop after", async () => {
    await using counter = await make();
    const waiting = counter.wait();
    const behind = counter.increment();
    behind.cancel("not needed");
    expect(await failure(behind)).toMatchObject({ name: "CancelledError", message: "not needed" });
    counter.getLog().cancel();
    waiting.cancel("enough");
    expect(await failure(waiting)).toMatchObject({ name: "CancelledError", message: "enough" });
    expect(await counter.increment()).toBe(1);
  });

  it("fails every call in flight, and later ones, when its thread dies", async () => {
    const counter = await make();
    const calls = [counter.exit(), counter.increment(), counter.increment()];
    for (const error of await Promise.all(calls.map((call) => failure(call)))) {
      expect(error).toBeInstanceOf(ThreadDiedError);
      expect(error).toMatchObject({ reason: "exit", exitCode: 9 });
    }
    expect(await failure(counter.increment())).toBeInstanceOf(ThreadDiedError);
    await counter[Symbol.asyncDispose]();
  });

  it("ends a thread whose method does not stop, when it was given a grace", async () => {
    const counter = await make(0, { cancelGrace: 5 });
    await counter.increment();
    const started = words();
    const spinning = counter.spin(started);
    const behind = counter.increment();
    await changed(started);
    spinning.cancel();
    expect(await failure(spinning)).toMatchObject({ name: "CancelledError" });
    expect(await failure(behind)).toMatchObject({ code: "THREAD_DIED", reason: "stopped" });
    await counter[Symbol.asyncDispose]();
  });

  it("is disposed: no more calls, and the thread is gone", async () => {
    const counter = await make();
    await counter[Symbol.asyncDispose]();
    expect(await failure(counter.increment())).toBeInstanceOf(PoolClosedError);
    await counter[Symbol.asyncDispose]();
  });
});
