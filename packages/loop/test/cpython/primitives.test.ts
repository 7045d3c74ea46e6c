import {
  ArgumentError,
  Barrier,
  BoundedSemaphore,
  BrokenBarrierError,
  CancelledError,
  Condition,
  coroutine,
  createTask,
  Event,
  gather,
  getRunningLoop,
  Lock,
  Queue,
  Semaphore,
  sleep,
  timeout,
  TimeoutError,
} from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// CPython: Lib/test/test_asyncio/test_locks.py.

test("Lock: a cancelled waiter is passed over by the release of the same moment (test_cancel_race)", () =>
  inVirtualTime(function* () {
    const lock = new Lock();
    const gate = getRunningLoop().createFuture<void>();
    const hold = coroutine(function* (blocker?: typeof gate) {
      yield* lock.acquire();
      try {
        if (blocker) yield* blocker;
      } finally {
        lock.release();
      }
    });
    const a = createTask(hold(gate));
    yield* sleep(0);
    const [b, c] = [createTask(hold()), createTask(hold())];
    yield* sleep(0);
    gate.setResult();
    b.cancel();
    yield* sleep(0);
    expect(lock.locked()).toBe(false);
    expect([a.done(), b.cancelled()]).toEqual([true, true]);
    yield* c;
  }));

test("Lock: a cancel and a release in one callback let exactly one in (test_cancel_release_race)", () =>
  inVirtualTime(function* () {
    const lock = new Lock();
    let taken = 0;
    let called = 0;
    const take = coroutine(function* () {
      called += 1;
      yield* lock.acquire();
      taken += 1;
    });
    yield* lock.acquire();
    const [first, second, third] = [createTask(take()), createTask(take()), createTask(take())];
    yield* sleep(0);
    getRunningLoop().callSoon(() => {
      first.cancel();
      lock.release();
    });
    yield* raised(first);
    expect([called, taken]).toEqual([3, 1]);
    expect(first.cancelled() && second.done()).toBe(true);
    third.cancel();
    yield* raised(third);
  }));

test("Lock: a waiter that is cancelled after it was woken wakes the next (test_finished_waiter_cancelled)", () =>
  inVirtualTime(function* () {
    const lock = new Lock();
    yield* lock.acquire();
    const take = coroutine(function* () {
      yield* lock.acquire();
    });
    const [first, second] = [createTask(take()), createTask(take())];
    yield* sleep(0);
    lock.release();
    first.cancel();
    expect(yield* raised(first)).toBeInstanceOf(CancelledError);
    yield* second;
    expect(lock.locked()).toBe(true);
  }));

test("Lock: nobody barges in front of a woken waiter", () =>
  inVirtualTime(function* () {
    const lock = new Lock();
    const order: string[] = [];
    const take = coroutine(function* (name: string) {
      yield* lock.acquire();
      order.push(name);
      lock.release();
    });
    yield* lock.acquire();
    const waiter = createTask(take("waiter"));
    yield* sleep(0);
    lock.release();
    // The lock is free, and still this acquire must wait in line.
    yield* take("late");
    yield* waiter;
    expect(order).toEqual(["waiter", "late"]);
  }));

test("Lock: release without acquire is an error (test_release_not_acquired)", () =>
  inVirtualTime(function* () {
    expect(() => new Lock().release()).toThrow(/acquire/);
    yield* sleep(0);
  }));

test("Semaphore: order of acquires over releases in one step (test_acquire_fifo_order_2)", () =>
  inVirtualTime(function* () {
    const semaphore = new Semaphore(1);
    const order: number[] = [];
    const one = createTask(function* () {
      yield* semaphore.acquire();
      order.push(1);
    });
    const two = createTask(function* () {
      yield* semaphore.acquire();
      order.push(2);
      semaphore.release();
      yield* semaphore.acquire();
      order.push(4);
    });
    const three = createTask(function* () {
      yield* semaphore.acquire();
      order.push(3);
    });
    yield* sleep(0);
    semaphore.release();
    semaphore.release();
    yield* gather([one, two, three]);
    expect(order).toEqual([1, 2, 3, 4]);
  }));

test("Semaphore: a cancelled waiter is passed over (test_acquire_fifo_order_3)", () =>
  inVirtualTime(function* () {
    const semaphore = new Semaphore(0);
    const order: number[] = [];
    const take = coroutine(function* (name: number) {
      yield* semaphore.acquire();
      order.push(name);
    });
    const tasks = [1, 2, 3].map((name) => createTask(take(name)));
    yield* sleep(0);
    tasks[0]!.cancel();
    yield* sleep(0);
    semaphore.release();
    semaphore.release();
    yield* gather(tasks, { returnExceptions: true });
    expect(order).toEqual([2, 3]);
  }));

test("Semaphore: a waiter that is cancelled after it was woken gives its place back (test_acquire_cancel_before_awoken)", () =>
  inVirtualTime(function* () {
    const semaphore = new Semaphore(0);
    const take = coroutine(function* () {
      yield* semaphore.acquire();
    });
    const [first, second, third] = [createTask(take()), createTask(take()), createTask(take())];
    yield* sleep(0);
    semaphore.release();
    first.cancel();
    expect(yield* raised(first)).toBeInstanceOf(CancelledError);
    yield* sleep(0);
    expect([second.done(), third.done()]).toEqual([true, false]);
    expect(semaphore.locked()).toBe(true);
    third.cancel();
    yield* raised(third);
  }));

test("Semaphore: the first one there goes first, not the one that barges", () =>
  inVirtualTime(function* () {
    const semaphore = new Semaphore(1);
    yield* semaphore.acquire();
    const order: string[] = [];
    const take = coroutine(function* (name: string) {
      yield* semaphore.acquire();
      order.push(name);
      semaphore.release();
    });
    const waiter = createTask(take("waiter"));
    yield* sleep(0);
    semaphore.release();
    expect(semaphore.locked()).toBe(true);
    yield* take("late");
    yield* waiter;
    expect(order).toEqual(["waiter", "late"]);
    expect(semaphore.locked()).toBe(false);
  }));

test("BoundedSemaphore: one release too many is an error (test_release_not_acquired)", () =>
  inVirtualTime(function* () {
    const semaphore = new BoundedSemaphore(1);
    expect(() => semaphore.release()).toThrow(/too many/);
    yield* semaphore.acquire();
    semaphore.release();
    expect(() => semaphore.release()).toThrow(/too many/);
  }));

test("Event: a cancelled waiter leaves, the others wake in order (test_wait_cancel, test_wait)", () =>
  inVirtualTime(function* () {
    const event = new Event();
    const order: number[] = [];
    const waiter = coroutine(function* (name: number) {
      yield* event.wait();
      order.push(name);
    });
    const tasks = [0, 1, 2].map((name) => createTask(waiter(name)));
    yield* sleep(0);
    tasks[1]!.cancel();
    event.set();
    event.clear();
    yield* sleep(0);
    expect(order).toEqual([0, 2]);
    expect(tasks[1]!.cancelled()).toBe(true);
    expect(event.isSet()).toBe(false);
  }));

test("Condition: a consumer that is cancelled as it is notified passes the notification on (test_cancelled_wakeup)", () =>
  inVirtualTime(function* () {
    const condition = new Condition();
    let state = 0;
    const consumer = coroutine(function* () {
      yield* condition.acquire();
      try {
        for (;;) {
          yield* condition.waitFor(() => state !== 0);
          if (state < 0) return;
          state -= 1;
        }
      } finally {
        condition.release();
      }
    });
    const [first, second] = [createTask(consumer()), createTask(consumer())];
    yield* sleep(0);
    yield* condition.acquire();
    state += 1;
    condition.notify(1);
    first.cancel();
    const late = yield* raisedOrNothing(
      timeout(10, function* () {
        yield* condition.waitFor(() => state === 0);
      }),
    );
    // The item was consumed, although no call notifies this waiter.
    expect(late).toBeInstanceOf(TimeoutError);
    expect(state).toBe(0);
    state = -1;
    condition.notifyAll();
    condition.release();
    yield* second;
    expect(yield* raised(first)).toBeInstanceOf(CancelledError);
  }));

test("Condition: cancelled while it takes the lock back, it passes the notification on (test_cancelled_wakeup_relock)", () =>
  inVirtualTime(function* () {
    const condition = new Condition();
    let woken = 0;
    const waiter = coroutine(function* () {
      yield* condition.acquire();
      try {
        yield* condition.wait();
        woken += 1;
      } finally {
        condition.release();
      }
    });
    const [first, second] = [createTask(waiter()), createTask(waiter())];
    yield* sleep(0);
    yield* condition.acquire();
    condition.notify(1);
    // The first task is about to take the lock, which is held here.
    yield* sleep(0);
    first.cancel();
    condition.release();
    yield* second;
    expect(woken).toBe(1);
    expect(yield* raised(first)).toBeInstanceOf(CancelledError);
    expect(condition.locked()).toBe(false);
  }));

test("Condition: wait and notify without the lock are errors (test_wait_unacquired, test_notify_unacquired)", () =>
  inVirtualTime(function* () {
    const condition = new Condition();
    expect(yield* raised(condition.wait())).toBeInstanceOf(Error);
    expect(() => condition.notify()).toThrow(/lock/);
    expect(() => condition.notifyAll()).toThrow(/lock/);
  }));

test("Condition: two of them may share a lock (test_explicit_lock)", () =>
  inVirtualTime(function* () {
    const lock = new Lock();
    const [a, b] = [new Condition(lock), new Condition(lock)];
    yield* a.acquire();
    expect([lock.locked(), b.locked()]).toEqual([true, true]);
    b.release();
    expect(a.locked()).toBe(false);
  }));

test("Barrier: all leave together, with numbers of their own; and again (test_filling_tasks, test_barrier…)", () =>
  inVirtualTime(function* () {
    const barrier = new Barrier(3);
    const waiter = coroutine(function* () {
      return yield* barrier.wait();
    });
    for (let round = 0; round < 2; round++) {
      const first = [createTask(waiter()), createTask(waiter())];
      yield* sleep(1);
      expect(barrier.nWaiting).toBe(2);
      const rest = createTask(waiter());
      expect((yield* gather([...first, rest])).toSorted((a, b) => a - b)).toEqual([0, 1, 2]);
      expect(barrier.nWaiting).toBe(0);
    }
  }));

test("Barrier: a cancelled waiter leaves a place (test_filling_tasks_cancel_one)", () =>
  inVirtualTime(function* () {
    const barrier = new Barrier(3);
    const waiter = coroutine(function* () {
      yield* barrier.wait();
    });
    const tasks: Task<void>[] = [createTask(waiter()), createTask(waiter())];
    yield* sleep(0);
    expect(barrier.nWaiting).toBe(2);
    tasks[0]!.cancel();
    expect(yield* raised(tasks[0]!)).toBeInstanceOf(CancelledError);
    expect(barrier.nWaiting).toBe(1);
    yield* gather([createTask(waiter()), createTask(waiter()), tasks[1]!]);
    expect([barrier.nWaiting, barrier.broken]).toEqual([0, false]);
  }));

test("Barrier: reset breaks those who wait and lets new ones in (test_reset_barrier…)", () =>
  inVirtualTime(function* () {
    const barrier = new Barrier(3);
    const waiter = coroutine(function* () {
      yield* barrier.wait();
    });
    const broken = [createTask(waiter()), createTask(waiter())];
    yield* sleep(0);
    yield* barrier.reset();
    for (const task of broken) expect(yield* raised(task)).toBeInstanceOf(BrokenBarrierError);
    expect([barrier.nWaiting, barrier.broken]).toEqual([0, false]);
    yield* gather([waiter(), waiter(), waiter()]);
  }));

test("Barrier: abort breaks those who wait and those who come, until reset (test_abort_barrier…)", () =>
  inVirtualTime(function* () {
    const barrier = new Barrier(2);
    const waiter = coroutine(function* () {
      yield* barrier.wait();
    });
    const task = createTask(waiter());
    yield* sleep(0);
    yield* barrier.abort();
    expect(yield* raised(task)).toBeInstanceOf(BrokenBarrierError);
    expect(barrier.broken).toBe(true);
    expect(yield* raised(waiter())).toBeInstanceOf(BrokenBarrierError);
    yield* barrier.reset();
    expect(barrier.broken).toBe(false);
    yield* gather([waiter(), waiter()]);
  }));

function* raisedOrNothing(
  awaitable: Parameters<typeof raised>[0],
): Generator<never, Error | undefined, unknown> {
  try {
    return yield* raised(awaitable);
  } catch {
    return undefined;
  }
}

test("what acquire gives releases once, by hand or by `using`", () =>
  inVirtualTime(function* () {
    const lock = new Lock();
    const held = yield* lock.acquire();
    held.release();
    expect(lock.locked()).toBe(false);
    yield* lock.acquire();
    // The lock was released before, so this call must not release it for its new holder.
    held.release();
    expect(lock.locked()).toBe(true);
    lock.release();
    const semaphore = new Semaphore(1);
    {
      using _held = yield* semaphore.acquire();
      expect(semaphore.locked()).toBe(true);
    }
    expect(semaphore.locked()).toBe(false);
  }));

test("with() gives the body's value and releases when it throws (test_context_manager…)", () =>
  inVirtualTime(function* () {
    for (const thing of [new Lock(), new Semaphore(1), new BoundedSemaphore(1), new Condition()]) {
      const value = yield* thing.with(function* () {
        expect(thing.locked()).toBe(true);
        yield* sleep(1);
        return "value";
      });
      expect(value).toBe("value");
      const error = yield* raised(
        thing.with(function* () {
          throw new Error("body");
        }),
      );
      expect(error.message).toBe("body");
      expect(thing.locked()).toBe(false);
    }
  }));

test("impossible sizes are refused (test_initial_value_zero's opposite, test_barrier_parties…)", () => {
  expect(() => new Semaphore(-1)).toThrow(ArgumentError);
  expect(() => new Semaphore(Number.NaN)).toThrow(ArgumentError);
  expect(new Semaphore(0).locked()).toBe(true);
  expect(() => new Barrier(0)).toThrow(ArgumentError);
  expect(new Barrier(1).parties).toBe(1);
  expect(() => new Queue("5" as never)).toThrow(ArgumentError);
  expect(() => new Queue(Number.NaN)).toThrow(ArgumentError);
});
