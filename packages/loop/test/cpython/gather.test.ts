import {
  allTasks,
  asCompleted,
  CancelledError,
  coroutine,
  createTask,
  gather,
  getRunningLoop,
  shield,
  sleep,
  TimeoutError,
  wait,
} from "@taskloom/loop";
import type { Future } from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_tasks.py (GatherTestsBase and the wait, shield and as_completed tests).

test("a child's cancel ends gather with an error, not as cancelled (test_one_cancellation)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const futures = Array.from({ length: 5 }, () => loop.createFuture<number>());
    const outer = gather(futures);
    futures[0]!.setResult(1);
    futures[1]!.cancel("b");
    yield* sleep(0);
    yield* sleep(0);
    expect(outer.done()).toBe(true);
    expect(outer.cancelled()).toBe(false);
    expect(outer.exception()).toBeInstanceOf(CancelledError);
    // A second cancel has no effect.
    futures[2]!.setResult(3);
    futures[3]!.cancel();
    futures[4]!.setException(new Error("unseen"));
    yield* sleep(0);
  }));

test("the same coroutine twice is one task (test_duplicate_coroutines)", () =>
  inVirtualTime(function* () {
    let runs = 0;
    const body = coroutine(function* (value: string) {
      runs += 1;
      yield* sleep(0);
      return value;
    });
    const abc = body("abc");
    expect(yield* gather([abc, abc, body("def"), abc])).toEqual(["abc", "abc", "def", "abc"]);
    expect(runs).toBe(2);
  }));

test("the same future twice counts once (test_duplicate_futures)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const [a, b] = [loop.createFuture<string>(), loop.createFuture<string>()];
    const outer = gather([a, a, b]);
    a.setResult("a");
    yield* sleep(0);
    yield* sleep(0);
    expect(outer.done()).toBe(false);
    b.setResult("b");
    expect(yield* outer).toEqual(["a", "a", "b"]);
  }));

test("cancel after a failure is false, and the others go on (test_cancel_after_failure)", () =>
  inVirtualTime(function* () {
    const slow = createTask(function* () {
      yield* sleep(10);
      return "kept";
    });
    const outer = gather([
      slow,
      coroutine(function* () {
        yield* sleep(1);
        throw new Error("x");
      })(),
    ]);
    expect((yield* raised(outer)).message).toBe("x");
    expect(outer.cancel()).toBe(false);
    expect(yield* slow).toBe("kept");
  }));

test("with returnExceptions errors and cancellations are results (test_return_exceptions)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const [a, b, c] = [loop.createFuture<number>(), loop.createFuture<number>(), loop.createFuture<number>()];
    const outer = gather([a, b, c], { returnExceptions: true });
    const failure = new Error("b");
    c.cancel("c");
    b.setException(failure);
    a.setResult(1);
    const results = (yield* outer) as unknown[];
    expect(results.slice(0, 2)).toEqual([1, failure]);
    expect(results[2]).toBeInstanceOf(CancelledError);
    expect((results[2] as Error).message).toBe("c");
  }));

test("a cancelled gather with returnExceptions still throws (test_cancel_gather_1, issue 32684)", () =>
  inVirtualTime(function* () {
    const body = coroutine(function* () {
      yield* sleep(100);
    });
    const outer = gather([body(), body()], { returnExceptions: true });
    yield* sleep(0);
    expect(outer.cancel()).toBe(true);
    expect(yield* raised(outer)).toBeInstanceOf(CancelledError);
    expect(outer.cancelled()).toBe(false);
  }));

test("gather of nothing is done at once (test_constructor_empty_sequence)", () =>
  inVirtualTime(function* () {
    const outer = gather([]);
    expect(outer.done()).toBe(true);
    expect(yield* outer).toEqual([]);
  }));

test("wait(FIRST_COMPLETED) returns all that is done by the wake-up (test_wait_really_done)", () =>
  inVirtualTime(function* () {
    const body = coroutine(function* (turns: number) {
      for (let i = 0; i < turns; i++) yield* sleep(0);
    });
    const [a, b] = [createTask(body(1)), createTask(body(2))];
    const { done, pending } = yield* wait([b, a], { returnWhen: "FIRST_COMPLETED" });
    expect([...done].map((task) => [b, a].indexOf(task))).toEqual([0, 1]);
    expect(pending.size).toBe(0);
  }));

test("wait(FIRST_EXCEPTION) is not woken by a cancellation (test_wait_first_exception…)", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const cancelled = createTask(sleep(100));
    const failing = createTask(
      coroutine(function* () {
        yield* sleep(20);
        throw new Error("x");
      })(),
    );
    const slow = createTask(sleep(1000));
    loop.callLater(10, () => cancelled.cancel());
    const { done, pending } = yield* wait([cancelled, failing, slow], { returnWhen: "FIRST_EXCEPTION" });
    expect(loop.time()).toBe(20);
    const all: unknown[] = [cancelled, failing, slow];
    expect([...done].map((task) => all.indexOf(task))).toEqual([0, 1]);
    expect([...pending].map((task) => all.indexOf(task))).toEqual([2]);
    expect(failing.exception()!).toBeInstanceOf(Error);
    slow.cancel();
  }));

test("wait never cancels and never throws on a timeout (test_wait_with_exception_timeout)", () =>
  inVirtualTime(function* () {
    const slow = createTask(sleep(100, "late"));
    const { done, pending } = yield* wait([slow], { timeout: 10 });
    expect([done.size, pending.has(slow)]).toEqual([0, true]);
    expect(yield* slow).toBe("late");
  }));

test("wait for nothing is an error (test_wait_errors)", () =>
  inVirtualTime(function* () {
    // This throws at the call, where asyncio's coroutine throws when it is awaited.
    expect(() => wait([])).toThrow(/empty/);
    expect(() => wait([sleep(1) as never])).toThrow(/createTask/);
    expect(() => wait(createTask(sleep(0)) as never)).toThrow(/list of futures/);
    expect(() => wait([createTask(sleep(0))], { returnWhen: "NEVER" as never })).toThrow(/returnWhen/);
    yield* sleep(0);
  }));

test("shield keeps the inner task when the waiter is cancelled (test_shield_effect)", () =>
  inVirtualTime(function* () {
    const inner = createTask(sleep(10, "kept"));
    const waiter = createTask(function* () {
      return yield* shield(inner);
    });
    yield* sleep(1);
    waiter.cancel("outer only");
    expect((yield* raised(waiter)).message).toBe("outer only");
    expect(yield* inner).toBe("kept");
  }));

test("a cancelled inner task cancels the shield (test_shield_inner_cancel)", () =>
  inVirtualTime(function* () {
    const inner: Future<number> = getRunningLoop().createFuture();
    const outer = shield(inner);
    inner.cancel("inner");
    yield* sleep(0);
    yield* sleep(0);
    expect(outer.cancelled()).toBe(true);
    // As in asyncio, the message is not passed on.
    expect((yield* raised(outer)).message).toBe("");
  }));

test("asCompleted gives results in the order of completion, each once (test_as_completed, …_duplicate_coroutines)", () =>
  inVirtualTime(function* () {
    const body = coroutine(function* (ms: number) {
      yield* sleep(ms);
      return ms;
    });
    const twice = body(10);
    const results: number[] = [];
    for (const next of asCompleted([twice, body(30), body(20), twice])) results.push(yield* next);
    expect(results).toEqual([10, 20, 30]);
  }));

test("asCompleted's async iterator yields the futures themselves (test_as_completed_async_iterator)", () =>
  inVirtualTime(async () => {
    const tasks = [createTask(sleep(20, "b")), createTask(sleep(10, "a"))];
    const seen: number[] = [];
    for await (const next of asCompleted(tasks)) {
      expect(next.done()).toBe(true);
      seen.push(tasks.findIndex((task) => task === next));
    }
    expect(seen).toEqual([1, 0]);
  }));

test("asCompleted's next future can be awaited by a generator too", () =>
  inVirtualTime(function* () {
    const tasks = [createTask(sleep(20, "b")), createTask(sleep(10, "a"))];
    const iterator = asCompleted(tasks)[Symbol.asyncIterator]();
    const first = yield* iterator.next();
    expect(first.value === tasks[1]).toBe(true);
    const second = yield* iterator.next();
    expect(second.value === tasks[0]).toBe(true);
    expect((yield* iterator.next()).done).toBe(true);
  }));

test("a cancelled gather ends with the error of the last in the list, whichever ended last", () =>
  inVirtualTime(function* () {
    const body = coroutine(function* (cleanUp: number) {
      try {
        yield* sleep(100);
      } finally {
        yield* sleep(cleanUp);
      }
    });
    const [first, last] = [createTask(body(20)), createTask(body(10))];
    const outer = gather([first, last], { returnExceptions: true });
    yield* sleep(0);
    outer.cancel("m");
    const error = yield* raised(outer);
    // The error of the last child was already thrown here, so the awaiter receives a new one.
    expect(error.message).toBe("m");
    expect((yield* raised(last)).message).toBe("");
    expect((yield* raised(first)).message).toBe("m");
  }));

test("a cancelled gather whose last child failed long ago has no message", () =>
  inVirtualTime(function* () {
    const failed = createTask(function* () {
      throw new Error("failed");
    });
    const outer = gather([sleep(100), failed], { returnExceptions: true });
    yield* sleep(10);
    outer.cancel("m");
    const error = yield* raised(outer);
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.message).toBe("");
  }));

test("sleep(0) twice, or a function twice, is work twice", () =>
  inVirtualTime(function* () {
    let runs = 0;
    const work = coroutine(function* () {
      runs += 1;
      yield* sleep(1);
      return runs;
    });
    const start = () => work();
    expect([...asCompleted([sleep(0), sleep(0), sleep(0)])]).toHaveLength(3);
    const results: number[] = [];
    for (const next of asCompleted([start, start])) results.push(yield* next);
    expect(results).toEqual([2, 2]);
    const before = allTasks().size;
    const outer = gather([sleep(0), sleep(0), start, start]);
    expect(allTasks().size - before).toBe(4);
    expect(yield* outer).toEqual([undefined, undefined, 4, 4]);
  }));

test("asCompleted's timeout throws for what is left (test_as_completed_with_timeout)", () =>
  inVirtualTime(function* () {
    const results: unknown[] = [];
    for (const next of asCompleted([createTask(sleep(1, "quick")), createTask(sleep(100))], {
      timeout: 10,
    })) {
      try {
        results.push(yield* next);
      } catch (error) {
        results.push(error);
      }
    }
    expect(results[0]).toBe("quick");
    expect(results[1]).toBeInstanceOf(TimeoutError);
    expect(results).toHaveLength(2);
  }));
