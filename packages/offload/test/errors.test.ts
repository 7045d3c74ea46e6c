import { registerErrorClass } from "@taskloom/loop";
import { AsyncLocalStorage } from "node:async_hooks";
import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import {
  ThreadDiedError,
  UncloneableError,
  propagate,
  threaded,
  threadObject,
  transfer,
  TransferError,
} from "../src/index.ts";
import { OutOfStock } from "./fixtures/jobs.ts";
import type { Jobs } from "./support.ts";
import { failure, jobs, makePool, words } from "./support.ts";

describe("errors from a thread", () => {
  it("arrive as themselves, with both stacks", async () => {
    registerErrorClass(OutOfStock);
    const pool = makePool();
    const error = (await failure(pool.submit(jobs.order, "tea"))) as OutOfStock;
    expect(error).toBeInstanceOf(OutOfStock);
    expect(error).toMatchObject({
      name: "OutOfStock",
      code: "OUT_OF_STOCK",
      sku: "tea",
      message: "no tea left",
    });
    expect(error.cause).toBeInstanceOf(AggregateError);
    expect((error.cause as AggregateError).errors[0]).toBeInstanceOf(TypeError);
    expect(error.stack).toMatch(/at order .*jobs\.ts[^]*called from[^]*errors\.test\.ts/);
    expect(error.stack).not.toContain("thread/server");
  });

  it("keep Node's codes", async () => {
    const fs = threaded<typeof import("node:fs")>("node:fs", { executor: makePool() });
    expect(await failure(fs.readFileSync("/no/such/file"))).toMatchObject({
      code: "ENOENT",
      syscall: "open",
      path: "/no/such/file",
    });
  });

  it("may be anything that can be thrown", async () => {
    const pool = makePool();
    for (const thrown of [undefined, null, 0, "text", { reason: [1, 2] }])
      expect(await failure(pool.submit(jobs.throwThis, thrown))).toEqual(thrown);
  });

  it("name the path of an argument that cannot cross, and leave the calls beside it alone", async () => {
    const pool = makePool();
    const attempt = (): unknown => pool.submit((value: unknown) => value, { a: { b: [Promise.resolve()] } });
    expect(attempt).toThrow(UncloneableError);
    expect(attempt).toThrow("arguments[0].a.b[0] cannot cross to another thread: a promise");
    await Promise.all(Array.from({ length: 50 }, (_, i) => pool.submit(jobs.add, i, 1)));
    // Only structured clone finds this, when the batch is sent.
    const odd = pool.submit((value: unknown) => value, { stream: process.stdin });
    const mixed = Array.from({ length: 50 }, (_, i) => pool.submit(jobs.add, i, 1));
    expect(await failure(odd)).toMatchObject({ code: "UNCLONEABLE" });
    expect(await Promise.all(mixed)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  it("say so when it is a propagated store whose value cannot cross", async () => {
    const pool = makePool();
    const store = propagate(new AsyncLocalStorage<unknown>(), "uncloneable");
    const error = await failure(store.run({ on: () => 1 }, () => pool.submit(jobs.add, 1, 2)));
    expect(error).toMatchObject({ code: "UNCLONEABLE", path: "the propagated stores.uncloneable.on" });
    expect(await pool.submit(jobs.add, 1, 2)).toBe(3);
  });

  it("name the path of a result that cannot cross, and leave the thread alive", async () => {
    const pool = makePool({ maxThreads: 1, spareThreads: 0 });
    const first = await pool.submit(jobs.where);
    expect(await failure(pool.submit(() => ({ tools: { run: () => 1 } })))).toMatchObject({
      code: "UNCLONEABLE",
      path: "result.tools.run",
    });
    expect(await failure(pool.submit(() => ({ list: [1, new WeakMap()] })))).toMatchObject({
      code: "UNCLONEABLE",
      path: "result.list[1]",
    });
    expect(await failure(pool.submit(() => Symbol("s") as unknown))).toMatchObject({ path: "result" });
    expect(await pool.submit(jobs.where)).toBe(first);
  });

  it("refuse a pooled Buffer in a transfer list, with a way out", () => {
    const pooled = Buffer.from("small");
    const attempt = (): unknown => transfer(pooled, [pooled.buffer]);
    expect(attempt).toThrow(TransferError);
    expect(attempt).toThrow(/pool.*Buffer\.alloc/s);
  });

  it("move a buffer once that two views share, in one argument or in two", async () => {
    const pool = makePool({ maxThreads: 1 });
    const sum = (...views: (Uint8Array | Float64Array)[]): number =>
      views.reduce((total, view) => total + view[0]!, 0);
    const buffer = (): ArrayBuffer => new Uint8Array(64).fill(1).buffer;
    const one = buffer();
    const pair = transfer([new Uint8Array(one), new Float64Array(one)], [one, new Uint8Array(one, 8), one]);
    expect(await pool.submit((views: (Uint8Array | Float64Array)[]) => views[0]![0], pair)).toBe(1);
    expect(one.detached).toBe(true);
    const two = buffer();
    const views = [transfer(new Uint8Array(two)), transfer(new Uint8Array(two, 8))];
    expect(await pool.submit(sum, ...views)).toBe(2);
    expect(two.detached).toBe(true);
  });

  it("name the argument that was moved before", async () => {
    const pool = makePool({ maxThreads: 1 });
    const take = (_n: number, data: { samples: Uint8Array }): number => data.samples.length;
    const samples = new Uint8Array(16);
    const first = pool.submit(take, 1, transfer({ samples }, [samples]));
    const second = pool.submit(take, 2, transfer({ samples }, [samples]));
    expect(await first).toBe(16);
    for (const error of [await failure(second), await failure(pool.submit(take, 3, { samples }))]) {
      expect(error).toBeInstanceOf(TransferError);
      expect((error as Error).message).toContain("arguments[1].samples was moved to another thread before");
    }
    const result = await failure(
      pool.submit(() => {
        const moved = new Uint8Array(4);
        structuredClone(moved, { transfer: [moved.buffer] });
        return { kept: moved };
      }),
    );
    expect(result).toMatchObject({ code: "UNTRANSFERABLE" });
    expect((result as Error).message).toContain("result.kept was moved");
  });

  it("leave the buffers of a call that was not sent where they are", async () => {
    const pool = makePool();
    const store = propagate(new AsyncLocalStorage<unknown>(), "uncloneable-too");
    const samples = new Uint8Array(16);
    const call = store.run({ on: () => 1 }, () => pool.submit((data) => data, transfer(samples)));
    expect(await failure(call)).toMatchObject({ code: "UNCLONEABLE" });
    expect(samples.length).toBe(16);
  });

  it.each([
    ["process.exit", "exit", /ended with exit code 7: something called process\.exit/],
    ["a full heap", "out-of-memory", /ran out of memory; give it more with resourceLimits/],
    ["a floating rejection", "escaped", /An error escaped from floatingRejection/],
    ["a throw in a timer", "escaped", /An error escaped from throwInTimer/],
  ] as const)("of %s fail their own call and say so; the pool heals", async (what, reason, message) => {
    const pool = makePool({ maxThreads: 1, resourceLimits: { maxOldGenerationSizeMb: 24 } });
    const before = await pool.submit(jobs.where);
    const victim =
      what === "process.exit"
        ? pool.submit(jobs.exit, 7)
        : what === "a full heap"
          ? pool.submit(jobs.eatMemory)
          : what === "a floating rejection"
            ? pool.submit(jobs.floatingRejection)
            : pool.submit(jobs.throwInTimer);
    const beside = pool.submit(jobs.add, 1, 2);
    const error = (await failure(victim)) as ThreadDiedError;
    expect(error).toBeInstanceOf(ThreadDiedError);
    expect(error).toMatchObject({ code: "THREAD_DIED", reason });
    expect(error.message).toMatch(message);
    if (reason === "exit") expect(error.exitCode).toBe(7);
    if (reason === "escaped")
      expect((error.cause as Error).message).toMatch(/nobody awaits me|thrown in a timer/);
    expect(await beside).toBe(3);
    expect(await pool.submit(jobs.where)).not.toBe(before);
  });

  const oddEnds = [
    "a getter that throws",
    "a name that is a function",
    "a message that throws",
    "a stack that throws",
    "20,000 causes",
    "a hostile Proxy thrown",
    "a ReferenceError whose message throws",
    "a last progress that cannot be cloned",
    "a getter in the result",
    "a result whose then throws",
    "a then that throws when it is called",
    "a result that is a hostile Proxy",
    "a result deeper than the stack",
    "output that is no text",
  ];

  it("end their own call and nothing else, however odd", async () => {
    const pool = makePool({ maxThreads: 1, spareThreads: 0 });
    const where = await pool.submit(jobs.where);
    for (const how of oddEnds) {
      // A Proxy that throws when the loop reads it escapes from a task, and its thread is replaced.
      const asTask = how === "a hostile Proxy thrown" ? [] : [jobs.endOddlyLater];
      for (const fn of [jobs.endOddly, ...asTask]) {
        const ends = [pool.submit(fn, how), pool.with({ timeout: 50_000 }).submit(fn, how)];
        for (const end of ends) expect(await failure(end), how).toBeDefined();
        expect(await pool.submit(jobs.where), how).toBe(where);
      }
      expect(await failure(pool.map(jobs.endOddly, [how]).toArray()), how).toBeDefined();
    }
    expect(await pool.submit(jobs.where)).toBe(where);
    expect(await failure(pool.submit(jobs.endOddlyLater, "a hostile Proxy thrown"))).toBeDefined();
    expect(await pool.submit(jobs.add, 1, 2)).toBe(3);
  });

  it("of a method end that method and nothing else, however odd", async () => {
    const counter = await threadObject<Jobs, "Counter">("./fixtures/jobs.ts", "Counter", [0]);
    for (const how of oddEnds) {
      expect(await failure(counter.endOddly(how)), how).toBeDefined();
      expect(await counter.increment(0), how).toBe(0);
    }
    await counter[Symbol.asyncDispose]();
  });

  it("of a progress value that cannot cross are the call's own, also when a timer sends it", async () => {
    const pool = makePool({ maxThreads: 1, spareThreads: 0 });
    const where = await pool.submit(jobs.where);
    const expected = { code: "UNCLONEABLE", path: "progress.handler" };
    expect(await failure(pool.submit(jobs.reportOddly))).toMatchObject(expected);
    const how = "a last progress that cannot be cloned";
    expect(await failure(pool.submit(jobs.endOddly, how))).toMatchObject(expected);
    expect(await failure(pool.submit(jobs.endOddlyLater, how))).toMatchObject(expected);
    expect(await pool.submit(jobs.where)).toBe(where);
  });

  it("of a heap that fills up in small steps fail their own call, at larger limits too", async () => {
    // This runs in a process of its own, because a failure ends the process.
    const index = new URL("../src/index.ts", import.meta.url).href;
    const program = `import { ThreadPoolExecutor } from ${JSON.stringify(index)};
      const pool = new ThreadPoolExecutor({ maxThreads: 1, resourceLimits: { maxOldGenerationSizeMb: 256 } });
      const grow = (what) => {
        const kept = [];
        for (;;) {
          const n = kept.length;
          kept.push(what === "closures" ? () => n : new Promise(() => {}));
        }
      };
      for (const what of ["closures", "promises"])
        await pool.submit(grow, what).catch((error) => console.log(what, error.reason));
      console.log(await pool.submit((n) => n + 1, 1));`;
    const child = spawn(
      process.execPath,
      ["--conditions=@taskloom/source", "--input-type=module", "--eval", program],
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
    });
    const exitCode = await new Promise((resolve) => child.once("close", resolve));
    expect(printed).toBe("closures out-of-memory\npromises out-of-memory\n2\n");
    expect(exitCode).toBe(0);
  });

  it("that escape after their call has ended hit nobody, and are reported", async () => {
    const pool = makePool({ maxThreads: 1 });
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    const flag = words();
    expect(
      await pool.submit(() => {
        void Promise.reject(new Error("too late"));
        return "fine";
      }),
    ).toBe("fine");
    const next = pool.submit(jobs.spinUntil, flag);
    const warning = await warned;
    expect(warning.name).toBe("TaskloomStrayError");
    expect(warning.message).toContain("too late");
    Atomics.store(flag, 0, 1);
    expect(await next).toBe("released");
  });
});
