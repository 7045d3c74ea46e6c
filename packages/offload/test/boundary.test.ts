import { describe, expect, it } from "vitest";
import { CancelledError, timeout } from "@taskloom/loop";
import { threadObject, transfer } from "../src/index.ts";
import { requestId } from "./fixtures/jobs.ts";
import type { Jobs } from "./support.ts";
import { changed, failure, jobs, makePool, words } from "./support.ts";

describe("across the boundary", () => {
  it("calls back at any depth, in order, and before the result", async () => {
    const pool = makePool();
    const heard: string[] = [];
    const task = pool.submit(
      jobs.callBackMixed,
      {
        log: (line: string) => heard.push(line),
        ask: {
          deep: [
            async (n: number): Promise<number> => {
              heard.push(`asked ${n}`);
              return n + 1;
            },
          ] as [(n: number) => Promise<number>],
        },
      },
      20,
    );
    task.onProgress((value) => heard.push(`progress ${String(value)}`));
    const result = await task.then((value) => {
      heard.push("result");
      return value;
    });
    expect(result).toBe("answer 21");
    const lines = (from: number): string[] => Array.from({ length: 20 }, (_, i) => `line ${from + i}`);
    expect(heard).toEqual([...lines(0), "asked 20", "progress nearly", ...lines(20), "result"]);
  });

  it("gives a callback's error to the thread whole, and its place its context", async () => {
    const pool = makePool();
    const seen = await requestId.run("r-7", () =>
      pool.submit(
        async (ask: () => unknown) => {
          try {
            await ask();
            return "no error";
          } catch (error) {
            return `${(error as Error).name} ${(error as Error & { code: string }).code}`;
          }
        },
        () => {
          throw Object.assign(new RangeError("no"), { code: requestId.getStore() });
        },
      ),
    );
    expect(seen).toBe("RangeError r-7");
  });

  it("thins out progress, and keeps the last", async () => {
    const pool = makePool();
    const seen: number[] = [];
    const task = pool.submit(jobs.progressMany, 100_000);
    task.onProgress((value) => seen.push(value as number));
    await task;
    expect(seen.at(-1)).toBe(100_000);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.length).toBeLessThan(1000);
  });

  it("takes progress from the reportProgress of @taskloom/loop, too", async () => {
    const seen: unknown[] = [];
    const task = makePool().submit(jobs.progressOfLoop, 3);
    task.onProgress((value) => seen.push(value));
    expect(await task).toBe(3);
    expect(seen.at(-1)).toBe(3);
  });

  it("clones, transfers and shares buffers; a Buffer is one on both sides", async () => {
    const pool = makePool();
    const isBuffer = await pool.submit((value: { data: Buffer }) => Buffer.isBuffer(value.data), {
      data: Buffer.from("x"),
    });
    expect(isBuffer).toBe(true);
    const back = await pool.submit(() => ({ list: [Buffer.from("back")] }));
    expect(back.list[0]).toEqual(Buffer.from("back"));
    const moved = new Float64Array([1, 2, 3]);
    const sum = (data: Float64Array): number => data.reduce((a, b) => a + b, 0);
    expect(await pool.submit(sum, transfer(moved, [moved.buffer]))).toBe(6);
    expect(moved.length).toBe(0);
    const returned = await jobsTransferBack(pool);
    expect(returned).toEqual(new Uint8Array([1, 2, 3]));
    const shared = words();
    await pool.submit((array: Int32Array) => {
      array[1] = 42;
    }, shared);
    expect(shared[1]).toBe(42);
  });

  it("streams items as they are made, and what the generator returns ends it", async () => {
    const pool = makePool();
    const items: number[] = [];
    for await (const item of pool.stream(jobs.count, 1000)) items.push(item);
    expect(items).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    const slowly: number[] = [];
    for await (const item of pool.stream(jobs.countSlowly, 20)) slowly.push(item);
    expect(slowly).toHaveLength(20);
    const array: number[] = [];
    for await (const item of pool.stream(() => [1, 2, 3])) array.push(item);
    expect(array).toEqual([1, 2, 3]);
  });

  it("never has more items in flight than the window", async () => {
    const pool = makePool();
    const made = words();
    let taken = 0;
    let most = 0;
    for await (const item of pool.with({ window: 4 }).stream(jobs.count, 300, made)) {
      expect(item).toBe(taken);
      // These items are made on the thread and not yet taken here. One more is being made.
      most = Math.max(most, Atomics.load(made, 0) - taken);
      taken++;
      if (taken % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken).toBe(300);
    expect(most).toBeLessThanOrEqual(5);
    expect(most).toBeGreaterThan(1);
  });

  it("stops the producer when the consumer does: its finally runs, and the thread lives", async () => {
    const pool = makePool({ maxThreads: 1 });
    const state = words();
    for await (const item of pool.stream(jobs.count, 1e9, state)) if (item === 300) break;
    expect(Atomics.load(state, 1)).toBe(1);
    expect(Atomics.load(state, 0)).toBeLessThan(700);
    expect(pool.stats()).toMatchObject({ killed: 0 });
    for await (const item of pool.stream(jobs.countSlowly, 1e9)) if (item === 3) break;
    expect(await pool.submit(jobs.add, 1, 1)).toBe(2);
    expect(pool.stats()).toMatchObject({ killed: 0, busy: 0 });
  });

  /** Blocks this thread until the other thread has sent all its messages, and for the time that it takes to exit. */
  function lookAway(done: Int32Array): void {
    expect(Atomics.wait(done, 0, 0, 20_000)).not.toBe("timed-out");
    Atomics.wait(words(), 0, 0, 100);
  }

  it("hears all that a thread said before it ended, also from a caller that was busy", async () => {
    const pool = makePool({ maxThreads: 1 });
    await pool.submit(jobs.add, 1, 2);
    const heard: number[] = [];
    const done = words();
    const call = pool.submit(jobs.callBackAndExit, 100, done, (i: number) => heard.push(i));
    lookAway(done);
    expect(await failure(call)).toMatchObject({ code: "THREAD_DIED", reason: "exit" });
    expect(heard.length).toBe(100);

    const seen: number[] = [];
    const over = words();
    await pool.submit(jobs.add, 1, 2);
    const stream = pool.stream(jobs.countAndExit, 100, over);
    const first = stream.next();
    lookAway(over);
    seen.push((await first).value as number);
    const rest = async (): Promise<void> => {
      for await (const item of stream) seen.push(item);
    };
    expect(await failure(rest())).toMatchObject({ code: "THREAD_DIED" });
    expect(seen.length).toBe(100);
  });

  it("hears all that an object said before its thread ended", async () => {
    const counter = await threadObject<Jobs, "Counter">("./fixtures/jobs.ts", "Counter", [5]);
    const heard: number[] = [];
    const done = words();
    const answered = counter.increment();
    const call = counter.callBackAndExit(100, done, (i: number) => heard.push(i));
    lookAway(done);
    expect(await answered).toBe(6);
    expect(await failure(call)).toMatchObject({ code: "THREAD_DIED", reason: "exit" });
    expect(heard.length).toBe(100);
  });

  it("closes a stream's generator when an item cannot cross: its finally runs", async () => {
    const pool = makePool({ maxThreads: 1 });
    for (const kind of ["generator", "async generator"]) {
      const log = words();
      const seen: unknown[] = [];
      const stream =
        kind === "generator" ? pool.stream(jobs.countOddly, log) : pool.stream(jobs.countOddlyLater, log);
      const reading = async (): Promise<void> => {
        for await (const item of stream) seen.push(item);
      };
      expect(await failure(reading())).toMatchObject({ code: "UNCLONEABLE", path: "item" });
      expect(seen).toEqual([1]);
      expect(Atomics.load(log, 0)).toBe(1);
    }
  });

  it("closes the source of a map that fails, whatever it fails of", async () => {
    const pool = makePool({ maxThreads: 1 });
    const kinds: ((item: unknown) => unknown)[] = [
      (item) => item,
      () => {
        throw new Error("no");
      },
    ];
    for (const fn of kinds) {
      let closed = 0;
      const source = function* (): Generator<unknown, void, unknown> {
        try {
          yield 1;
          for (;;) yield Symbol("cannot cross");
        } finally {
          closed++;
        }
      };
      expect(await failure(pool.map(fn, source(), { chunkSize: 1 }).toArray())).toBeInstanceOf(Error);
      expect(closed).toBe(1);
      const map = pool.map(fn, source(), { chunkSize: 1 });
      expect(
        await failure(
          (async () => {
            for await (const _ of map);
          })(),
        ),
      ).toBeInstanceOf(Error);
      expect(closed).toBe(2);
    }
    expect(pool.stats()).toMatchObject({ queued: 0 });
  });

  it("closes the source of a map whose reader is cancelled", async () => {
    const pool = makePool({ maxThreads: 1 });
    const flag = words();
    const closed = Promise.withResolvers<void>();
    const source = function* (): Generator<Int32Array, void, unknown> {
      try {
        for (;;) yield flag;
      } finally {
        closed.resolve();
      }
    };
    const reading = pool.map(jobs.spinUntil, source(), { chunkSize: 1 }).toArray();
    await changed(flag, 1);
    reading.cancel();
    Atomics.store(flag, 0, 1);
    expect(await failure(reading)).toBeInstanceOf(CancelledError);
    await closed.promise;
  });

  it("gives a stream's items before its error, and ends when it is cancelled", async () => {
    const pool = makePool();
    const seen: number[] = [];
    const error = await failure(
      (async () => {
        for await (const item of pool.stream(jobs.failAfter, 10)) seen.push(item);
      })(),
    );
    expect(seen).toHaveLength(10);
    expect(error).toMatchObject({ name: "OutOfStock", sku: "items" });
    const stream = pool.stream(jobs.count, 1e9);
    const cancelled = failure(
      (async () => {
        for await (const item of stream) if (item === 50) stream.task.cancel("enough");
      })(),
    );
    expect(await cancelled).toBeInstanceOf(CancelledError);
  });

  it("maps in order, whatever the chunks, and reads only as far ahead as it needs", async () => {
    const pool = makePool();
    const double = (n: number): number => n * 2;
    for (const options of [{}, { chunkSize: 1 }, { chunkSize: 7 }]) {
      const results: number[] = [];
      for await (const value of pool.map(
        double,
        Array.from({ length: 500 }, (_, i) => i),
        options,
      ))
        results.push(value);
      expect(results).toEqual(Array.from({ length: 500 }, (_, i) => i * 2));
    }
    expect(await pool.map(async (n: number) => n + 1, [1, 2, 3]).toArray()).toEqual([2, 3, 4]);
    let drawn = 0;
    function* endless(): Generator<number> {
      for (;;) yield drawn++;
    }
    for await (const value of pool.map(double, endless(), { chunkSize: 10 })) if (value === 200) break;
    expect(drawn).toBeLessThan(300);
  });

  it("gives a map's results up to the first that fails", async () => {
    const pool = makePool();
    const seen: number[] = [];
    const error = await failure(
      (async () => {
        const fail = (n: number): number => {
          if (n === 25) throw new RangeError(`not ${n}`);
          return n;
        };
        for await (const value of pool.map(
          fail,
          Array.from({ length: 100 }, (_, i) => i),
          { chunkSize: 10 },
        ))
          seen.push(value);
      })(),
    );
    expect(error).toMatchObject({ name: "RangeError", message: "not 25" });
    expect(seen).toEqual(Array.from({ length: 25 }, (_, i) => i));
  });

  it("takes registered stores along, for plain and async functions", async () => {
    const pool = makePool();
    await requestId.run("r-1", async () => {
      expect(await pool.submit(jobs.readRequestId)).toBe("r-1");
      expect(await pool.submit(jobs.readRequestIdLater)).toBe("r-1");
    });
    expect(await pool.submit(jobs.readRequestId)).toBeUndefined();
  });

  it("takes the trace context along, where OpenTelemetry is set up on both sides", async () => {
    const pool = makePool({ maxThreads: 1 });
    const { otelStandIn } = await import("./fixtures/otel.ts");
    const otel = otelStandIn();
    await pool.submit(
      async (url: string) => {
        const module = (await import(url)) as typeof import("./fixtures/otel.ts");
        module.otelStandIn();
      },
      new URL("./fixtures/otel.ts", import.meta.url).href,
    );
    try {
      const seen = await otel.with("trace-5", () =>
        pool.submit(() => {
          const api = (globalThis as Record<symbol, unknown>)[Symbol.for("opentelemetry.js.api.1")];
          return (api as { context: { active(): unknown } }).context.active();
        }),
      );
      expect(seen).toBe("trace-5");
    } finally {
      otel.remove();
    }
  });

  it("takes the caller's deadline along", async () => {
    const pool = makePool();
    expect(await pool.submit(jobs.timeLeft)).toBeUndefined();
    const left = await timeout(60_000, () => pool.submit(jobs.timeLeft));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(60_001);
  });

  it("runs async functions and coroutines as tasks of the thread's loop", async () => {
    const pool = makePool();
    expect(await pool.submit(jobs.taskName)).toBe("taskName");
    expect(await pool.with({ name: "my name" }).submit(jobs.taskName)).toBe("my name");
    expect(await pool.submit(jobs.coroutineJob, 4)).toBe("coroutineJob summed 6");
  });

  it("prints at once, also while the thread is busy", async () => {
    const pool = makePool();
    const flag = words();
    const written = Promise.withResolvers<string>();
    const { write } = process.stdout;
    process.stdout.write = (text: string) => {
      if (text.includes("busy thread says")) written.resolve(text);
      return true;
    };
    try {
      const task = pool.submit((array: Int32Array) => {
        console.log("first");
        console.log("busy thread says", 1);
        while (Atomics.load(array, 0) === 0);
      }, flag);
      // The thread goes on only after this message has arrived.
      expect(await written.promise).toBe("busy thread says 1\n");
      Atomics.store(flag, 0, 1);
      await task;
    } finally {
      process.stdout.write = write;
    }
  });
});

async function jobsTransferBack(pool: ReturnType<typeof makePool>): Promise<Uint8Array> {
  const url = new URL("../src/index.ts", import.meta.url).href;
  return pool.submit(async (offload: string) => {
    const api = (await import(offload)) as typeof import("../src/index.ts");
    const bytes = new Uint8Array([1, 2, 3]);
    return api.transfer(bytes, [bytes.buffer]);
  }, url);
}
