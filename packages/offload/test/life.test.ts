import { execFileSync, spawn } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { run } from "@taskloom/loop";
import { ThreadPoolExecutor, threadObject, threaded, toThread } from "../src/index.ts";
import { Supervisor } from "../src/pool/supervisor.ts";
import type { Jobs } from "./support.ts";
import { defaultThreads } from "../src/executor/pool-options.ts";
import { changed, failure, jobs, makePool, words } from "./support.ts";

/** Resolves when `isTrue` returns true after a turn of the event loop. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 1));
}

function alive(pool: ThreadPoolExecutor): number {
  const { threads, starting } = pool.stats();
  return threads + starting;
}

describe("the life of a pool", () => {
  it("starts threads as demand grows, up to its bound and a spare, and shrinks when idle", async () => {
    const pool = makePool({ maxThreads: 3, idleTimeout: 20 });
    expect(alive(pool)).toBe(0);
    const flags = Array.from({ length: 6 }, () => words());
    const first = pool.submit(jobs.spinUntil, flags[0]!);
    await changed(flags[0]!, 1);
    expect(alive(pool)).toBe(2);
    const others = flags.slice(1).map((flag) => pool.submit(jobs.spinUntil, flag));
    await changed(flags[2]!, 1);
    expect(alive(pool)).toBe(4);
    expect(pool.stats()).toMatchObject({ busy: 3, queued: 3 });
    for (const flag of flags) Atomics.store(flag, 0, 1);
    await Promise.all([first, ...others]);
    await until(() => alive(pool) === 0);
    expect(await pool.submit(jobs.add, 1, 2)).toBe(3);
  });

  it.each([
    [1, 5],
    [2, 6],
    [28, 32],
    [64, 32],
  ])("has as many threads as asyncio's by default: with %i cores, %i", (cores, threads) => {
    expect(defaultThreads(cores)).toBe(threads);
  });

  it("runs five blocking calls at once by default, even on one core, and starts no more threads", async () => {
    await using pool = new ThreadPoolExecutor();
    const flag = words();
    const calls = Array.from({ length: 5 }, () => pool.submit(jobs.holdUntil, flag));
    for (let running = 0; running < 5; running = Atomics.load(flag, 1)) await changed(flag, 1, running);
    await until(() => pool.stats().starting === 0);
    expect(pool.stats()).toMatchObject({ busy: 5, threads: 6 });
    Atomics.store(flag, 0, 1);
    Atomics.notify(flag, 0);
    expect(new Set(await Promise.all(calls)).size).toBe(5);
  });

  it("comes to rest when it is idle: its threads end and no others start", async () => {
    const starts = vi.spyOn(Supervisor.prototype, "start");
    onTestFinished(() => starts.mockRestore());
    const pool = makePool({ idleTimeout: 20, spareThreads: 2 });
    await pool.submit(jobs.add, 1, 2);
    expect(starts.mock.calls.length).toBe(3);
    // At the end of a thread the pool decides whether it needs another.
    await until(() => alive(pool) + pool.stats().zombies === 0);
    expect(starts.mock.calls.length).toBe(3);
  });

  it("does not try for ever to start threads that do not come up while others run", async () => {
    const { start } = Supervisor.prototype;
    let starts = 0;
    const spy = vi.spyOn(Supervisor.prototype, "start").mockImplementation(async function (
      this: Supervisor,
      enlistment,
    ) {
      if (starts++ === 0) return start.call(this, enlistment);
      await new Promise((resolve) => setImmediate(resolve));
      throw new Error("no more threads");
    });
    onTestFinished(() => spy.mockRestore());
    const pool = makePool({ maxThreads: 1, spareThreads: 1 });
    const started = words();
    const running = pool.submit(jobs.spinUntil, started);
    await changed(started, 1);
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    // There are some attempts, and not one in each turn.
    expect(starts).toBeLessThan(10);
    Atomics.store(started, 0, 1);
    expect(await running).toBe("released");
  });

  it("waits for as long as it is told: 2^31 ms, and for ever", async () => {
    const delays: unknown[] = [];
    const { setTimeout: real } = globalThis;
    const spy = vi.spyOn(globalThis, "setTimeout").mockImplementation((fn: () => void, delay?: number) => {
      delays.push(delay);
      return real(fn, delay);
    });
    onTestFinished(() => spy.mockRestore());
    for (const time of [2 ** 31, Infinity]) {
      const pool = makePool({ maxThreads: 1, idleTimeout: time, cancelGrace: time });
      const flag = words();
      const limited = pool.with({ timeout: time, queueTimeout: time });
      const first = limited.submit(jobs.spinUntil, flag);
      const second = limited.submit(jobs.block, 5);
      await changed(flag, 1);
      first.cancel();
      // This is time enough for a kill that comes at once.
      await new Promise((resolve) => real(resolve, 20));
      Atomics.store(flag, 0, 1);
      expect(await first).toBe("released");
      expect(await second).toBeGreaterThan(0);
      expect(pool.stats()).toMatchObject({ killed: 0, failed: 0, completed: 2 });
      await using counter = await threadObject<Jobs, "Counter">("./fixtures/jobs.ts", "Counter", [0], {
        cancelGrace: time,
      });
      const slow = counter.slowly("slow", 30);
      slow.cancel();
      await failure(slow);
      expect(await counter.increment()).toBe(1);
    }
    expect(delays.filter((delay) => typeof delay === "number" && delay >= 2 ** 31)).toEqual([]);
  });

  it("keeps minThreads", async () => {
    const pool = makePool({ minThreads: 2, maxThreads: 2, idleTimeout: 1, spareThreads: 0 });
    await pool.submit(jobs.add, 1, 2);
    await until(() => alive(pool) === 2 && pool.stats().starting === 0);
    await pool.submit(jobs.block, 5);
    expect(alive(pool)).toBe(2);
  });

  it("has a spare thread take over from one that was ended", async () => {
    const pool = makePool({ maxThreads: 1, cancelGrace: 0 });
    await pool.submit(jobs.add, 0, 0);
    await until(() => pool.stats().threads === 2);
    const started = words();
    const victim = pool.submit(jobs.spinForEver, started);
    await changed(started);
    victim.cancel();
    const next = pool.submit(jobs.add, 1, 2);
    expect(await next).toBe(3);
    expect(await failure(victim)).toMatchObject({ name: "CancelledError" });
    await until(() => pool.stats().threads === 2);
  });

  it("replaces threads after so many calls, and when their heap has grown", async () => {
    const pool = makePool({ maxThreads: 1, spareThreads: 0, maxTasksPerThread: 3 });
    const ids: number[] = [];
    for (let i = 0; i < 7; i++) ids.push(await pool.submit(jobs.where));
    expect(new Set(ids.slice(0, 3)).size).toBe(1);
    expect(new Set(ids).size).toBe(3);
    const grower = makePool({ maxThreads: 1, spareThreads: 0, recycleHeapMb: 60 });
    const before = await grower.submit(jobs.where);
    await grower.submit(() => {
      const kept = Array.from({ length: 3_000_000 }, (_, i) => ({ i }));
      (globalThis as Record<string, unknown>)["kept"] = kept;
    });
    await until(() => grower.stats().recycled === 1);
    expect(await grower.submit(jobs.where)).not.toBe(before);
  });

  it("reports a thread that cannot be interrupted as a zombie until it ends, and goes on without it", async () => {
    const pool = makePool({ maxThreads: 1, cancelGrace: 0 });
    const folder = mkdtempSync(join(tmpdir(), "taskloom-fifo-"));
    const fifo = join(folder, "fifo");
    execFileSync("mkfifo", [fifo]);
    const fs = threaded<typeof import("node:fs")>("node:fs", { executor: pool });
    const native = fs.readFileSync(fifo, "utf8");
    // A writer can open the pipe once the thread is inside the native call that reads it, and holds it there.
    let writer: number | undefined;
    await until(() => {
      try {
        writer = openSync(fifo, constants.O_WRONLY | constants.O_NONBLOCK);
      } catch (error) {
        if ((error as { code?: string }).code !== "ENXIO") throw error;
      }
      return writer !== undefined;
    });
    native.cancel();
    expect(pool.stats().zombies).toBe(1);
    expect(await pool.submit(jobs.add, 1, 2)).toBe(3);
    expect(native.done()).toBe(false);
    closeSync(writer!);
    expect(await failure(native)).toMatchObject({ name: "CancelledError" });
    expect(pool.stats().zombies).toBe(0);
    rmSync(folder, { recursive: true });
  });

  it("fails what waits when its threads do not come up", async () => {
    const pool = makePool({ maxThreads: 1, execArgv: ["--import", "file:///no/such/preload.mjs"] });
    const error = await failure(pool.submit(jobs.add, 1, 2));
    expect(error).toMatchObject({ code: "THREAD_DIED", reason: "start" });
    expect((error as Error).cause).toBeInstanceOf(Error);
  });

  it("ends with its loop, where it is the loop's own", async () => {
    const threads = await run(async () => {
      expect(await toThread(jobs.add, 1, 2)).toBe(3);
      expect(await jobs.add(2, 2)).toBe(4);
      return toThread(jobs.where);
    });
    expect(threads).toBeGreaterThan(0);
  });

  it.each([
    ["an idle pool", 'await pool.submit((n) => n + 1, 1).then((n) => console.log("got", n));', "got 2\n"],
    [
      "a pool that killed",
      "const t = pool.submit(() => { for (;;); }); setTimeout(() => t.cancel(), 200); await t.catch(() => console.log('ended'));",
      "ended\n",
    ],
    [
      "a stream that was left",
      "for await (const n of pool.stream(function* () { for (let i = 0; ; i++) yield i; })) if (n === 9) break; console.log('left');",
      "left\n",
    ],
    [
      "a map that was left",
      "for await (const n of pool.map((n) => n, [1, 2, 3], { chunkSize: 1 })) break; console.log('left');",
      "left\n",
    ],
    [
      "work that nobody waits for",
      "void pool.submit(() => console.log('done all the same'));",
      "done all the same\n",
    ],
    [
      "an object whose disposal lasts longer than its last method",
      `const object = await threadObject(${JSON.stringify(new URL("fixtures/jobs.ts", import.meta.url).href)}, "Slow", []);
      const work = object.work(20);
      await object[Symbol.asyncDispose]();
      await work;
      console.log("disposed");`,
      "disposed\n",
    ],
  ])("lets the process end by itself: %s", async (_what, code, output) => {
    const index = new URL("../src/index.ts", import.meta.url).href;
    const program = `import { ThreadPoolExecutor, threadObject } from ${JSON.stringify(index)};
      const pool = new ThreadPoolExecutor({ maxThreads: 2 });
      ${code}`;
    const child = spawn(
      process.execPath,
      ["--conditions=@taskloom/source", "--input-type=module", "--eval", program],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let printed = "";
    child.stdout.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
    });
    const exitCode = await new Promise((resolve) => child.once("close", resolve));
    expect(printed).toBe(output);
    expect(exitCode).toBe(0);
  });
});
