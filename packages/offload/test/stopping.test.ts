import { describe, expect, it } from "vitest";
import { CancelledError, TimeoutError, timeout } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { changed, failure, jobs, makePool, words } from "./support.ts";

describe("stopping", () => {
  it("asks first: a busy function that polls stops by itself, and its thread lives", async () => {
    const pool = makePool({ maxThreads: 1, cancelGrace: 5000 });
    const started = words();
    const task = pool.submit(jobs.spinPolitely, started);
    await changed(started);
    expect(task.cancel("enough")).toBe(true);
    const error = await failure(task);
    expect(error).toBeInstanceOf(CancelledError);
    expect((error as Error).message).toBe("enough");
    expect(task.cancelled()).toBe(true);
    expect(pool.stats()).toMatchObject({ killed: 0, cancelled: 1 });
  });

  it("asks first: the signal is aborted, and a value that comes all the same counts", async () => {
    const pool = makePool({ maxThreads: 1, cancelGrace: 5000 });
    const started = words();
    const task = pool.submit(jobs.waitForSignal, started);
    await changed(started);
    task.cancel("later");
    expect(await task).toBe("aborted: later");
  });

  it("asks first: a coroutine on the thread has its CancelledError at its await, and its finally runs", async () => {
    const pool = makePool({ maxThreads: 1, cancelGrace: 5000 });
    const log = words();
    const task = pool.submit(jobs.sleepLong, log);
    await changed(log);
    task.cancel();
    expect(await failure(task)).toBeInstanceOf(CancelledError);
    expect(Atomics.load(log, 1)).toBe(1);
    expect(pool.stats().killed).toBe(0);
  });

  it("ends the thread after the grace; nothing else in flight is disturbed", async () => {
    const pool = makePool({ maxThreads: 2, cancelGrace: 5 });
    const started = words();
    const flag = words();
    const bystander = pool.submit(jobs.spinUntil, flag);
    const task = pool.submit(jobs.spinForEver, started);
    await changed(started);
    task.cancel("now");
    expect(await failure(task)).toMatchObject({ name: "CancelledError", message: "now" });
    expect(pool.stats()).toMatchObject({ killed: 1, zombies: 0 });
    expect(await pool.submit(jobs.add, 1, 2)).toBe(3);
    Atomics.store(flag, 0, 1);
    expect(await bystander).toBe("released");
  });

  it("takes a call out that no thread has begun", async () => {
    const pool = makePool({ maxThreads: 1 });
    const flag = words();
    const running = pool.submit(jobs.spinUntil, flag);
    const waiting = [1, 2, 3].map((n) => pool.submit(jobs.add, n, 0));
    waiting[1]!.cancel("not needed");
    expect(await failure(waiting[1]!)).toMatchObject({ message: "not needed" });
    Atomics.store(flag, 0, 1);
    await running;
    expect(await Promise.all([waiting[0]!, waiting[2]!])).toEqual([1, 3]);
  });

  it("limits the run, and only the run", async () => {
    const pool = makePool({ maxThreads: 1, cancelGrace: 0 });
    const blocked = pool.submit(jobs.block, 80);
    const behind = pool.with({ timeout: 60 }).submit(jobs.add, 1, 2);
    expect(await behind).toBe(3);
    await blocked;
    const error = await failure(pool.with({ timeout: 20 }).submit(jobs.spinForEver));
    expect(error).toBeInstanceOf(TimeoutError);
    expect((error as Error).message).toBe("spinForEver ran for more than 20 ms");
    expect(await pool.submit(jobs.add, 1, 2)).toBe(3);
  });

  it("limits the wait for a thread, and only the wait", async () => {
    const pool = makePool({ maxThreads: 1 });
    await pool.submit(jobs.add, 0, 0);
    const flag = words();
    const running = pool.with({ queueTimeout: 300 }).submit(jobs.spinUntil, flag);
    await changed(flag, 1);
    const error = await failure(pool.with({ queueTimeout: 320 }).submit(jobs.add, 1, 1));
    expect(error).toBeInstanceOf(TimeoutError);
    expect((error as Error).message).toBe("add waited more than 320 ms for a thread");
    Atomics.store(flag, 0, 1);
    expect(await running).toBe("released");
  });

  it("obeys an enclosing timeout and a signal", async () => {
    const pool = makePool({ maxThreads: 1, cancelGrace: 5 });
    await pool.submit(jobs.add, 0, 0);
    const error = await failure(timeout(250, () => pool.submit(jobs.spinForEver)));
    expect(error).toBeInstanceOf(TimeoutError);
    const controller = new AbortController();
    const started = words();
    const task = pool.with({ signal: controller.signal }).submit(jobs.spinForEver, started);
    await changed(started);
    controller.abort();
    expect(await failure(task)).toBeInstanceOf(CancelledError);
    const never = pool.with({ signal: AbortSignal.abort() }).submit(jobs.add, 1, 1);
    expect(await failure(never)).toBeInstanceOf(CancelledError);
    expect(pool.stats().killed).toBe(2);
  });

  it("survives 1,000 random cancellations: no wrong victim, no lost result, no leaked thread", async () => {
    const pool = makePool({ maxThreads: 3, cancelGrace: 1 });
    const random = generator(20_261_121);
    const tasks: Task<unknown>[] = [];
    const spinners = new Set<number>();
    const cancelled = new Set<number>();
    const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, random(3)));
    await pool.submit(jobs.add, 0, 0);
    while (cancelled.size < 1000) {
      // A wave has quick calls, blocking calls, and some calls that only the end of their thread can stop.
      const from = tasks.length;
      for (let i = from; i < from + 60; i++) {
        if (random(60) === 0) {
          spinners.add(i);
          tasks.push(pool.submit(jobs.spinForEver));
        } else {
          tasks.push(random(4) === 0 ? pool.submit(jobs.block, random(2)) : pool.submit(jobs.add, i, 1));
        }
      }
      const victims = new Set([...spinners].filter((index) => index >= from));
      while (victims.size < 20) victims.add(from + random(60));
      for (const index of [...victims].toSorted((a, b) => hash(a) - hash(b))) {
        if (random(3) === 0) await soon();
        if (tasks[index]!.cancel(`cancel ${index}`)) cancelled.add(index);
      }
    }
    const results = await Promise.allSettled(tasks.map(async (task) => task));
    for (const [index, result] of results.entries()) {
      if (result.status === "rejected") {
        // Only cancelled calls may fail, with their own message.
        expect(cancelled.has(index)).toBe(true);
        expect(result.reason).toMatchObject({ name: "CancelledError", message: `cancel ${index}` });
      } else {
        expect(spinners.has(index)).toBe(false);
        expect(result.value).toBeTypeOf("number");
      }
    }
    const stats = pool.stats();
    expect(stats).toMatchObject({ queued: 0, running: 0, busy: 0, zombies: 0, failed: 0, died: 0 });
    expect(stats.completed + stats.cancelled).toBe(tasks.length + 1);
    expect(stats.killed).toBeGreaterThan(0);
    expect(stats.threads + stats.starting).toBeLessThanOrEqual(4);
  });
});

/** Returns a generator of random numbers that are the same in every run (mulberry32). */
function generator(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d_2b_79_f5) | 0;
    return hash(state) % n;
  };
}

function hash(value: number): number {
  let t = Math.imul(value ^ (value >>> 15), value | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return (t ^ (t >>> 14)) >>> 0;
}
