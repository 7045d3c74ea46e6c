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
import * as fc from "fast-check";
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

test("any mix of puts and gets gives what a plain list would (test_order, heapq's own tests)", () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.option(fc.integer({ min: 0, max: 40 })), { maxLength: 400 }), (steps) =>
      inVirtualTime(function* () {
        const [fifo, lifo, least] = [
          new Queue<number>(),
          new LifoQueue<number>(),
          new PriorityQueue<number>(),
        ];
        const list: number[] = [];
        const stack: number[] = [];
        const heap: number[] = [];
        for (const step of steps) {
          if (step !== null) {
            for (const queue of [fifo, lifo, least]) queue.putNowait(step);
            for (const model of [list, stack, heap]) model.push(step);
            heap.sort((a, b) => a - b);
          } else if (list.length > 0) {
            expect(fifo.getNowait()).toBe(list.shift());
            expect(lifo.getNowait()).toBe(stack.pop());
            expect(least.getNowait()).toBe(heap.shift());
          }
          expect([fifo, lifo, least].map((queue) => queue.qsize())).toEqual(
            [list, stack, heap].map((each) => each.length),
          );
        }
        while (list.length > 0) expect(yield* fifo.get()).toBe(list.shift());
        while (stack.length > 0) expect(yield* lifo.get()).toBe(stack.pop());
        while (heap.length > 0) expect(yield* least.get()).toBe(heap.shift());
      }),
    ),
    { numRuns: 100, seed: 1 },
  ));

test("a PriorityQueue compares arrays element by element, as Python does tuples, or as it is told", () =>
  inVirtualTime(function* () {
    const queue = new PriorityQueue<readonly (number | string)[]>();
    const items = [[2, "a"], [1, "b"], [1], [1, "a", 0], [1, "a"], [0, "z"], [2], [1, "a", -1]];
    for (const item of items) queue.putNowait(item);
    const out: unknown[] = [];
    while (!queue.empty()) out.push(queue.getNowait());
    expect(out).toEqual([[0, "z"], [1], [1, "a"], [1, "a", -1], [1, "a", 0], [1, "b"], [2], [2, "a"]]);
    const longest = new PriorityQueue<string>(0, (a, b) => b.length - a.length);
    for (const item of ["one", "three", "a"]) yield* longest.put(item);
    expect([yield* longest.get(), yield* longest.get(), yield* longest.get()]).toEqual(["three", "one", "a"]);
    // If one of the items is not an array, JavaScript's operators compare them.
    const mixed = new PriorityQueue<unknown>();
    for (const item of [[3], 2, [1]]) mixed.putNowait(item);
    expect([mixed.getNowait(), mixed.getNowait(), mixed.getNowait()]).toEqual([[1], 2, [3]]);
  }));

test("hundreds of readers and writers are served in order, cancelled ones passed over", () =>
  inVirtualTime(function* () {
    const queue = new Queue<number>(1);
    const got: [number, number][] = [];
    const readers = Array.from({ length: 300 }, (_, name) =>
      createTask(function* () {
        got.push([name, yield* queue.get()]);
      }),
    );
    yield* sleep(0);
    for (const [name, reader] of readers.entries()) if (name % 3 === 0) reader.cancel();
    yield* sleep(0);
    const writers = Array.from({ length: 300 }, (_, item) => createTask(queue.put(item)));
    yield* sleep(0);
    for (const [item, writer] of writers.entries()) if (item % 7 === 3) writer.cancel();
    yield* sleep(100);
    const names = readers.map((_, name) => name).filter((name) => name % 3 !== 0);
    const items = writers.map((_, item) => item).filter((item) => item === 0 || item % 7 !== 3);
    expect(got).toEqual(names.map((name, i) => [name, items[i]]));
    for (const writer of writers) writer.cancel();
    yield* gather(writers, { returnExceptions: true });
  }));

test.each([3, 0, 7])(
  "of eight readers the one numbered %i is cancelled, and the others are served",
  (victim) =>
    inVirtualTime(function* () {
      const queue = new Queue<number>();
      const readers = Array.from({ length: 8 }, () => createTask(queue.get()));
      yield* sleep(0);
      readers[victim]!.cancel();
      yield* sleep(0);
      for (let item = 0; item < 7; item++) queue.putNowait(item);
      yield* sleep(1);
      const served = readers.filter((_, name) => name !== victim);
      expect(served.map((reader) => reader.result())).toEqual([0, 1, 2, 3, 4, 5, 6]);
      yield* raised(readers[victim]!);
    }),
);

test("join at once when nothing is unfinished; taskDone and shutdown never go below zero", () =>
  inVirtualTime(function* () {
    const queue = new Queue<number>();
    yield* queue.join();
    expect(() => queue.taskDone()).toThrow(/too many/);
    queue.putNowait(1);
    queue.taskDone();
    // The task of this waiter is done, but the waiter is still in the queue.
    queue.shutdown(true);
    yield* queue.join();
    expect(() => queue.taskDone()).toThrow(/too many/);
  }));

test("a get or a put does nothing until it is awaited, and can be made a task", () =>
  inVirtualTime(function* () {
    const queue = new Queue<number>(1);
    const put = queue.put(5);
    expect(queue.qsize()).toBe(0);
    yield* put;
    expect(queue.qsize()).toBe(1);
    const second = createTask(queue.put(6));
    yield* sleep(0);
    expect(second.done()).toBe(false);
    expect(yield* createTask(queue.get())).toBe(5);
    yield* second;
    const get = queue.get();
    expect(yield* get).toBe(6);
  }));
