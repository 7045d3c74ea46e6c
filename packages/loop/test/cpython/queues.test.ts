import {
  CancelledError,
  coroutine,
  createTask,
  gather,
  LifoQueue,
  PriorityQueue,
  Queue,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  sleep,
  taskGroup,
} from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_queues.py.

test("a reader that is cancelled after it was woken drops nothing (test_get_cancel_drop_one_pending_reader)", () =>
  inVirtualTime(function* () {
    const queue = new Queue<number>();
    const reader = createTask(queue.get());
    yield* sleep(0);
    queue.putNowait(1);
    queue.putNowait(2);
    reader.cancel();
    expect(yield* raised(reader)).toBeInstanceOf(CancelledError);
    expect(yield* queue.get()).toBe(1);
  }));

test("a reader that is cancelled after it was woken wakes the next (test_get_cancelled_race's harder sister)", () =>
  inVirtualTime(function* () {
    const queue = new Queue<string>();
    const [first, second] = [createTask(queue.get()), createTask(queue.get())];
    yield* sleep(0);
    queue.putNowait("a");
    first.cancel();
    expect(yield* raised(first)).toBeInstanceOf(CancelledError);
    expect(yield* second).toBe("a");
  }));

test("a writer that is cancelled after it was woken wakes the next (test_repeated_put_cancelled_race)", () =>
  inVirtualTime(function* () {
    const queue = new Queue<string>(1);
    queue.putNowait("full");
    const [first, second] = [createTask(queue.put("x")), createTask(queue.put("a"))];
    yield* sleep(0);
    expect(queue.getNowait()).toBe("full");
    first.cancel();
    expect(yield* raised(first)).toBeInstanceOf(CancelledError);
    yield* second;
    expect(queue.getNowait()).toBe("a");
  }));

test("a cancelled writer is passed over (test_put_cancelled_race)", () =>
  inVirtualTime(function* () {
    const queue = new Queue<string>(1);
    const [a, b, x] = [createTask(queue.put("a")), createTask(queue.put("b")), createTask(queue.put("x"))];
    yield* sleep(0);
    expect([a.done(), b.done()]).toEqual([true, false]);
    x.cancel();
    yield* sleep(0);
    expect(x.done()).toBe(true);
    expect(queue.getNowait()).toBe("a");
    yield* sleep(0);
    expect(queue.getNowait()).toBe("b");
    yield* b;
  }));

test("producers and consumers of a small queue never starve (test_why_are_getters_waiting, …putters…)", () =>
  inVirtualTime(function* () {
    const queue = new Queue<number>(1);
    const got: number[] = [];
    yield* taskGroup(function* (group) {
      group.createTask(function* () {
        for (let i = 0; i < 5; i++) yield* queue.put(i);
      });
      group.createTask(function* () {
        for (let i = 0; i < 5; i++) got.push(yield* queue.get());
      });
    });
    expect(got).toEqual([0, 1, 2, 3, 4]);
    const small = new Queue<number>(2);
    yield* taskGroup(function* (group) {
      group.createTask(function* () {
        yield* sleep(0);
        for (let left = small.qsize(); left > 0; left--) small.getNowait();
      });
      for (let i = 0; i < 4; i++) group.createTask(small.put(i));
    });
    expect(small.qsize()).toBe(2);
  }));

test("shutdown at once with an item in work: join waits for that one (test_shutdown_immediate_with_unfinished)", () =>
  inVirtualTime(function* () {
    const queue = new Queue<string>();
    queue.putNowait("data");
    queue.putNowait("data");
    const join = createTask(queue.join());
    expect(yield* queue.get()).toBe("data");
    queue.shutdown(true);
    expect(queue.qsize()).toBe(0);
    yield* sleep(0);
    expect(join.done()).toBe(false);
    expect(yield* raised(queue.put("data"))).toBeInstanceOf(QueueShutDown);
    expect(() => queue.putNowait("data")).toThrow(QueueShutDown);
    expect(yield* raised(queue.get())).toBeInstanceOf(QueueShutDown);
    expect(() => queue.getNowait()).toThrow(QueueShutDown);
    queue.taskDone();
    expect(() => queue.taskDone()).toThrow(/too many/);
    yield* sleep(0);
    expect(join.done()).toBe(true);
  }));

test("shutdown lets readers empty the queue first (test_shutdown_nonempty)", () =>
  inVirtualTime(function* () {
    const queue = new Queue<string>(1);
    queue.putNowait("data");
    const writer = createTask(queue.put("more"));
    yield* sleep(0);
    queue.shutdown();
    expect(yield* raised(writer)).toBeInstanceOf(QueueShutDown);
    expect(yield* queue.get()).toBe("data");
    expect(yield* raised(queue.get())).toBeInstanceOf(QueueShutDown);
  }));

test("shutdown wakes every reader (test_shutdown_empty, test_shutdown_get)", () =>
  inVirtualTime(function* () {
    const queue = new Queue<string>();
    const readers = [createTask(queue.get()), createTask(queue.get())];
    yield* sleep(0);
    queue.shutdown();
    for (const reader of readers) expect(yield* raised(reader)).toBeInstanceOf(QueueShutDown);
  }));

test("join ends when every item is done (test_join_…)", () =>
  inVirtualTime(function* () {
    const queue = new Queue<number>();
    for (let i = 0; i < 10; i++) queue.putNowait(i);
    let sum = 0;
    const worker = coroutine(function* () {
      for (;;) {
        sum += yield* queue.get();
        yield* sleep(0);
        queue.taskDone();
      }
    });
    const workers = [createTask(worker()), createTask(worker())];
    yield* queue.join();
    expect(sum).toBe(45);
    for (const each of workers) each.cancel();
    yield* gather(workers, { returnExceptions: true });
    yield* queue.join();
  }));

test("full, empty and sizes (test_basic, test_float_maxsize's neighbours)", () =>
  inVirtualTime(function* () {
    const queue = new Queue<number>(2);
    expect([queue.empty(), queue.full(), queue.qsize(), queue.maxsize]).toEqual([true, false, 0, 2]);
    queue.putNowait(1);
    queue.putNowait(2);
    expect([queue.empty(), queue.full(), queue.qsize()]).toEqual([false, true, 2]);
    expect(() => queue.putNowait(3)).toThrow(QueueFull);
    yield* queue.get();
    yield* queue.get();
    expect(() => queue.getNowait()).toThrow(QueueEmpty);
    const endless = new Queue<number>();
    for (let i = 0; i < 100; i++) endless.putNowait(i);
    expect(endless.full()).toBe(false);
  }));

test("a LifoQueue gives the newest, a PriorityQueue the least (test_order)", () =>
  inVirtualTime(function* () {
    const [lifo, least] = [new LifoQueue<number>(), new PriorityQueue<number>()];
    for (const item of [2, 1, 3, 1]) {
      lifo.putNowait(item);
      least.putNowait(item);
    }
    const out: number[][] = [[], []];
    for (let i = 0; i < 4; i++) {
      out[0]!.push(lifo.getNowait());
      out[1]!.push(yield* least.get());
    }
    expect(out).toEqual([
      [1, 3, 1, 2],
      [1, 1, 2, 3],
    ]);
  }));
