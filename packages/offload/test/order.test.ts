import { describe, expect, it } from "vitest";
import { QueueFull } from "@taskloom/loop";
import { poolOf } from "../src/executor/executor.ts";
import { PoolClosedError, ThreadPoolExecutor, threadObject, threaded, toThread } from "../src/index.ts";
import { changed, failure, jobs, makePool, words } from "./support.ts";

/** Adds a mark to a shared log when it runs. */
function mark(log: Int32Array, id: number): number {
  const at = Atomics.add(log, 0, 1) + 1;
  Atomics.store(log, at, id);
  return id;
}

function read(log: Int32Array): number[] {
  return [...log.subarray(1, 1 + log[0]!)];
}

describe("order and limits", () => {
  it("is first come, first served on a thread, with signals, timeouts and callbacks in the mix", async () => {
    const pool = makePool({ maxThreads: 1 });
    const log = words(1001);
    const signal = new AbortController().signal;
    const all: PromiseLike<unknown>[] = [];
    for (let i = 0; i < 1000; i++) {
      if (i % 7 === 3) all.push(pool.with({ signal }).submit(mark, log, i));
      else if (i % 11 === 5)
        all.push(pool.with({ timeout: 5000, queueTimeout: 10_000 }).submit(mark, log, i));
      else if (i % 50 === 9)
        all.push(
          pool.submit(
            async (shared: Int32Array, id: number, back: (n: number) => unknown) => {
              await back(id);
              Atomics.store(shared, Atomics.add(shared, 0, 1) + 1, id);
            },
            log,
            i,
            (n: number) => n,
          ),
        );
      else if (i % 13 === 2)
        all.push(
          pool.submit(jobs.block, 0).then(() => undefined),
          pool.submit(mark, log, i),
        );
      else all.push(pool.submit(mark, log, i));
    }
    await Promise.all(all);
    expect(read(log)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  });

  it("keeps the order when calls are taken back from behind a slow one", async () => {
    const pool = makePool({ maxThreads: 1 });
    const log = words(401);
    await Promise.all(Array.from({ length: 100 }, (_, i) => pool.submit(mark, log, i)));
    // The function is known to be quick by now, so these calls travel together. The slow ones among them are a surprise.
    const sometimesSlow = (shared: Int32Array, id: number, ms: number): number => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
      Atomics.store(shared, Atomics.add(shared, 0, 1) + 1, id);
      return id;
    };
    await Promise.all(Array.from({ length: 50 }, () => pool.submit(sometimesSlow, words(4), 0, 0)));
    const results = await Promise.all(
      Array.from({ length: 300 }, (_, i) => pool.submit(sometimesSlow, log, 100 + i, i % 60 === 20 ? 12 : 0)),
    );
    expect(results).toEqual(Array.from({ length: 300 }, (_, i) => 100 + i));
    expect(read(log)).toEqual(Array.from({ length: 400 }, (_, i) => i));
  });

  it("lets nobody wait behind a slow call, nor a result wait for it", async () => {
    const pool = makePool({ maxThreads: 2 });
    const surprise = (flag: Int32Array | null): string => {
      if (flag !== null) while (Atomics.load(flag, 0) === 0);
      return "done";
    };
    await Promise.all(Array.from({ length: 400 }, () => pool.submit(surprise, null)));
    const flag = words();
    const before = Array.from({ length: 100 }, () => pool.submit(surprise, null));
    const slow = pool.submit(surprise, flag);
    const behind = Array.from({ length: 200 }, () => pool.submit(surprise, null));
    // The slow call ends only after all the others. If one of them were stuck behind it, this would hang.
    await Promise.all([...before, ...behind]);
    expect(slow.done()).toBe(false);
    Atomics.store(flag, 0, 1);
    expect(await slow).toBe("done");
  });

  it("runs higher priorities first and starves nobody", async () => {
    const pool = makePool({ maxThreads: 1 });
    await pool.submit(jobs.add, 0, 0);
    const flag = words();
    const log = words(64);
    const running = pool.submit(jobs.spinUntil, flag);
    const all = [
      ...[1, 2].map((id) => pool.submit(mark, log, id)),
      ...Array.from({ length: 20 }, (_, i) => pool.with({ priority: 5 }).submit(mark, log, 100 + i)),
      pool.with({ priority: 9 }).submit(mark, log, 999),
    ];
    Atomics.store(flag, 0, 1);
    await Promise.all([running, ...all]);
    const order = read(log);
    expect(order[0]).toBe(999);
    expect(order.indexOf(1)).toBeGreaterThan(10);
    expect(order.indexOf(1)).toBeLessThan(18);
    expect(order.at(-1)).toBe(2);
    const high = order.filter((id) => id >= 100 && id < 999);
    expect(high).toEqual(high.toSorted((a, b) => a - b));
  });

  it("bounds the queue and says so", async () => {
    const pool = makePool({ maxThreads: 1, maxQueue: 2 });
    await pool.submit(jobs.add, 0, 0);
    const flag = words();
    const running = pool.submit(jobs.spinUntil, flag);
    const queued = [pool.submit(jobs.add, 1, 0), pool.submit(jobs.add, 2, 0)];
    const attempt = (): unknown => pool.submit(jobs.add, 3, 0);
    expect(attempt).toThrow(QueueFull);
    expect(attempt).toThrow(/2 calls wait for a thread and maxQueue is 2; await some/);
    Atomics.store(flag, 0, 1);
    await running;
    expect(await Promise.all(queued)).toEqual([1, 2]);
    expect(await pool.submit(jobs.add, 4, 0)).toBe(4);
  });

  it("takes no more calls once it is shut down, and ends what it has", async () => {
    const pool = new ThreadPoolExecutor({ maxThreads: 1 });
    const flag = words();
    const running = pool.submit(jobs.spinUntil, flag);
    const waiting = pool.submit(jobs.add, 1, 2);
    const ended = pool.shutdown();
    const attempt = (): unknown => pool.submit(jobs.add, 1, 2);
    expect(attempt).toThrow(PoolClosedError);
    Atomics.store(flag, 0, 1);
    expect([await running, await waiting]).toEqual(["released", 3]);
    await ended;
    await pool.shutdown();
    expect(pool.stats()).toMatchObject({ threads: 0, starting: 0 });
  });

  it("cancels what waits on shutdown when asked", async () => {
    const pool = new ThreadPoolExecutor({ maxThreads: 1, cancelGrace: 0 });
    await pool.submit(jobs.add, 0, 0);
    const flag = words();
    const running = pool.submit(jobs.spinUntil, flag);
    await changed(flag, 1);
    const waiting = pool.submit(jobs.add, 1, 2);
    const ended = pool.shutdown({ cancelPending: true });
    expect(await failure(waiting)).toMatchObject({
      name: "CancelledError",
      message: "the thread pool was shut down",
    });
    Atomics.store(flag, 0, 1);
    expect(await running).toBe("released");
    await ended;
    const other = new ThreadPoolExecutor({ maxThreads: 1, cancelGrace: 0 });
    await other.submit(jobs.add, 0, 0);
    const spinning = other.submit(jobs.spinForEver);
    const gone = other.shutdown({ cancelPending: true, cancelRunning: true });
    expect(await failure(spinning)).toMatchObject({ name: "CancelledError" });
    await gone;
  });

  it("refuses options that do not exist, with a hint", async () => {
    const pool = makePool();
    const wrong = { maxThread: 2 } as object;
    const attempts: [() => unknown, string][] = [
      [() => new ThreadPoolExecutor(wrong), "`maxThread` of a thread pool. Did you mean maxThreads?"],
      [() => pool.with({ timeOut: 1 } as object), "`timeOut` of a call to a thread. Did you mean timeout?"],
      [() => toThread.with({ prio: 1 } as object), "`prio` of a call to a thread."],
      [() => pool.map((n: number) => n, [1], { chunk: 1 } as object), "`chunk` of map."],
      [() => pool.shutdown({ cancelAll: true } as object), "`cancelAll` of shutdown."],
      [() => threaded("node:fs", { pool } as object), "`pool` of threaded."],
    ];
    for (const [attempt, message] of attempts) {
      expect(attempt).toThrow(`There is no option ${message}`);
      expect(attempt).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    }
    const object = threadObject<typeof import("node:events"), "EventEmitter">(
      "node:events",
      "EventEmitter",
      [],
      wrong,
    );
    expect(await failure(object)).toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("takes an explicit undefined for the default", async () => {
    await using pool = new ThreadPoolExecutor({ idleTimeout: undefined, maxThreads: 1 } as object);
    expect(await pool.submit(jobs.add, 1, 2)).toBe(3);
    expect(poolOf(pool).options.idleTimeout).toBe(10_000);
  });

  it.each([
    [{ maxThreads: 0 }, "Expected `maxThreads` to be a number of at least 1, got 0"],
    [{ minThreads: 3, maxThreads: 2 }, "Expected `minThreads` to be at most `maxThreads` (2), got 3"],
    [{ idleTimeout: -1 }, "Expected `idleTimeout` to be a number of at least 0, got -1"],
    [{ cancelGrace: Number.NaN }, "Expected `cancelGrace` to be a number of at least 0, got NaN"],
  ])("refuses options that make no sense: %o", (options, message) => {
    expect(() => new ThreadPoolExecutor(options)).toThrow(new RangeError(message));
  });
});
