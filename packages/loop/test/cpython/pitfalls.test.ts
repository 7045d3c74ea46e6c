import {
  asCompleted,
  CancelledError,
  Condition,
  coroutine,
  createTask,
  currentTask,
  EventLoop,
  gather,
  getRunningLoop,
  Lock,
  Queue,
  Semaphore,
  shield,
  sleep,
  taskGroup,
  timeout,
  TimeoutError,
  wait,
  waitFor,
} from "@taskloom/loop";
import type { Future, Task, TimeoutScope } from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";
import { expect, test } from "vitest";

import { inVirtualTime, raised } from "./virtual-time.ts";

// Cases in which ports of asyncio are known to fail. Each of them differed from CPython at some point.

const swallow = coroutine(function* (value: string) {
  try {
    yield* sleep(1000);
  } catch {
    return value;
  }
  return "not cancelled";
});

test("1. a cancelled task's message appears once, with the instance that was thrown", () =>
  inVirtualTime(function* () {
    let thrown: unknown;
    const task = createTask(function* () {
      thrown = yield* raised(sleep(1000));
      throw thrown;
    });
    yield* sleep(0);
    task.cancel("m");
    const first = yield* raised(task);
    expect(first).toBe(thrown);
    expect(first.message).toBe("m");
    const second = yield* raised(task);
    expect(second).toBeInstanceOf(CancelledError);
    expect(second).not.toBe(first);
    expect(second.message).toBe("");
  }));

test("2. cancel on oneself, then return without suspending: cancelled, with its message", () =>
  inVirtualTime(function* () {
    const task = createTask(function* () {
      currentTask()!.cancel("m");
      return "lost";
    });
    expect((yield* raised(task)).message).toBe("m");
    expect(task.cancelled()).toBe(true);
    // No error was thrown inside the task, so there is no instance to pass on, and the message stays.
    expect((yield* raised(task)).message).toBe("m");
  }));

test("3. cancel and uncancel before suspending withdraws it; only uncancel to 0 clears the throw", () =>
  inVirtualTime(function* () {
    const withdrawn = createTask(function* () {
      currentTask()!.cancel();
      expect(currentTask()!.uncancel()).toBe(0);
      yield* sleep(1);
      return "slept";
    });
    expect(yield* withdrawn).toBe("slept");
    const half = createTask(function* () {
      currentTask()!.cancel();
      currentTask()!.cancel();
      expect(currentTask()!.uncancel()).toBe(1);
      yield* sleep(1);
    });
    expect(yield* raised(half)).toBeInstanceOf(CancelledError);
  }));

test("4. a CancelledError that is being delivered wins over a pending cancel's message", () =>
  inVirtualTime(function* () {
    const future = getRunningLoop().createFuture<void>();
    const seen: string[] = [];
    const task = createTask(function* () {
      seen.push((yield* raised(future)).message);
      yield* sleep(1);
      return "went on";
    });
    yield* sleep(0);
    future.cancel("of the future");
    expect(task.cancel("of the task")).toBe(true);
    // One throw delivers both requests: the pending mark is cleared.
    expect(yield* task).toBe("went on");
    expect(seen).toEqual(["of the future"]);
    expect(task.cancelling()).toBe(1);
  }));

test("5. a pending cancel at a yield cancels the new waiter; if that swallows it, the mark is cleared", () =>
  inVirtualTime(function* () {
    const inner = createTask(swallow("swallowed"));
    yield* sleep(0);
    const outer = createTask(function* () {
      currentTask()!.cancel();
      const value = yield* inner;
      yield* sleep(1);
      return value;
    });
    expect(yield* outer).toBe("swallowed");
    expect([outer.cancelling(), inner.cancelling()]).toEqual([1, 1]);
  }));

test("6. a CancelledError of the body's own cancels the task with a count of 0; one set on a future does not", () =>
  inVirtualTime(function* () {
    const task = createTask(function* () {
      throw new CancelledError("my own");
    });
    expect((yield* raised(task)).message).toBe("my own");
    expect([task.cancelled(), task.cancelling()]).toEqual([true, 0]);
    const future: Future<void> = getRunningLoop().createFuture();
    const error = new CancelledError("set");
    future.setException(error);
    expect(future.cancelled()).toBe(false);
    expect(future.exception()).toBe(error);
    expect(yield* raised(future)).toBe(error);
    expect(yield* raised(future)).toBe(error);
  }));

test("7. gather with a cancelled child is done, not cancelled; as a result it is fresh, with the child's own message", () =>
  inVirtualTime(function* () {
    const child = createTask(sleep(1000));
    const plain = gather([child]);
    const lenient = gather([child], { returnExceptions: true });
    yield* sleep(0);
    child.cancel("of the task");
    const [result] = (yield* lenient) as unknown as [Error];
    expect(result).toBeInstanceOf(CancelledError);
    // An error of its body cancels the task, so the task has no message of its own; a future has one.
    expect(result.message).toBe("");
    expect([plain.done(), plain.cancelled()]).toEqual([true, false]);
    expect((yield* raised(plain)).message).toBe("of the task");
  }));

test("8. gather's cancel never settles the outer itself; a swallowing last child gives an error without message", () =>
  inVirtualTime(function* () {
    const outer = gather([sleep(1000), swallow("swallowed")]);
    yield* sleep(0);
    expect(outer.cancel("m")).toBe(true);
    expect(outer.done()).toBe(false);
    expect((yield* raised(outer)).message).toBe("m");
    const last = gather([swallow("a"), swallow("b")]);
    yield* sleep(0);
    last.cancel("m");
    const error = yield* raised(last);
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.message).toBe("");
    expect(last.cancelled()).toBe(false);
  }));

test("9. a body that swallows the timeout and returns: no TimeoutError, expired, count 0", () =>
  inVirtualTime(function* () {
    let scope: TimeoutScope | undefined;
    const value = yield* timeout(5, function* (entered) {
      scope = entered;
      return yield* swallow("returned");
    });
    expect(value).toBe("returned");
    expect(scope!.expired()).toBe(true);
    expect(currentTask()!.cancelling()).toBe(0);
  }));

test("10. timeout(0) goes through callSoon, wait's timeout of 0 through the timers, behind what is ready", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const scoped: Future<string> = loop.createFuture();
    const waited: Future<string> = loop.createFuture();
    const results = [
      createTask(function* () {
        return yield* raised(timeout(0, () => scoped));
      }),
      createTask(function* () {
        const { done } = yield* wait([waited], { timeout: 0 });
        return done.size;
      }),
    ] as Task<unknown>[];
    createTask(function* () {
      // Ready in the next iteration: after the scope's deadline, and before the due timers.
      loop.callSoon(() => {
        if (!scoped.done()) scoped.setResult("in time");
        waited.setResult("in time");
      });
      yield* sleep(0);
    });
    const [timedOut, done] = yield* gather(results);
    expect(timedOut).toBeInstanceOf(TimeoutError);
    expect(done).toBe(1);
  }));

test("11. waitFor above 0 runs a coroutine in this task; waitFor(task, 0) gives the error the task ends with", () =>
  inVirtualTime(function* () {
    const me = currentTask();
    const who = coroutine(function* () {
      return currentTask();
    });
    expect(yield* waitFor(who(), 10)).toBe(me);
    const failure = new Error("E");
    const task = createTask(function* () {
      yield* raised(sleep(1000));
      throw failure;
    });
    yield* sleep(0);
    expect(yield* raised(waitFor(task, 0))).toBe(failure);
  }));

test("12. shield of a done future is that future; awaiting it takes no iteration", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const future = loop.createFuture<number>();
    future.setResult(1);
    expect(shield(future)).toBe(future);
    const before = loop._iterations;
    yield* shield(future);
    expect(loop._iterations - before).toBe(0);
    yield* wait([future]);
    expect(loop._iterations - before).toBeGreaterThan(0);
  }));

test("13. after asCompleted's timeout every remaining item throws TimeoutError", () =>
  inVirtualTime(function* () {
    const late = [createTask(sleep(100)), createTask(sleep(200)), createTask(sleep(300))];
    const items = [...asCompleted([createTask(sleep(1, "quick")), ...late], { timeout: 10 })];
    expect(yield* items[0]!).toBe("quick");
    for (const item of items.slice(1)) expect(yield* raised(item)).toBeInstanceOf(TimeoutError);
    expect(late.map((task) => task.done())).toEqual([false, false, false]);
  }));

test("14. after errors a group re-cancels a parent that is still cancelled; the body's error goes last", () =>
  inVirtualTime(function* () {
    const task = createTask(function* () {
      const error = yield* raised(
        taskGroup(function* (group) {
          group.createTask(function* () {
            yield* raised(sleep(1000));
            throw new Error("child");
          });
          yield* raised(sleep(1000));
          throw new Error("body");
        }),
      );
      const errors = (error as AggregateError).errors as Error[];
      expect(errors.map((each) => each.message)).toEqual(["child", "body"]);
      expect(currentTask()!.cancelling()).toBe(1);
      // The cancel that the group held back is thrown at the next suspension.
      return yield* raised(sleep(1000));
    });
    yield* sleep(1);
    task.cancel("external");
    const error = yield* task;
    expect(error).toBeInstanceOf(CancelledError);
    expect(error.message).toBe("");
  }));

test("15. a lock's cancelled waiters do not block an acquire; a semaphore serves the one that waits first", () =>
  inVirtualTime(function* () {
    const lock = new Lock();
    const take = coroutine(function* () {
      yield* lock.acquire();
    });
    yield* lock.acquire();
    const waiter = createTask(take());
    yield* sleep(0);
    waiter.cancel();
    lock.release();
    // Only the cancelled waiter is still in the queue here.
    const before = getRunningLoop()._iterations;
    yield* lock.acquire();
    expect(getRunningLoop()._iterations - before).toBe(0);
    yield* raised(waiter);

    const semaphore = new Semaphore(2);
    yield* semaphore.acquire();
    yield* semaphore.acquire();
    const order: string[] = [];
    const waits = createTask(function* () {
      yield* semaphore.acquire();
      order.push("waiter");
    });
    yield* sleep(0);
    semaphore.release();
    semaphore.release();
    yield* semaphore.acquire();
    order.push("here");
    yield* waits;
    expect(order).toEqual(["waiter", "here"]);
  }));

test("16. a condition takes its lock back through any number of cancels, throws the latest, notifies one more", () =>
  inVirtualTime(function* () {
    const condition = new Condition();
    const woken: string[] = [];
    const waiter = coroutine(function* (name: string) {
      yield* condition.acquire();
      try {
        yield* condition.wait();
        woken.push(name);
      } finally {
        expect(condition.locked()).toBe(true);
        condition.release();
      }
    });
    const [first, second] = [createTask(waiter("first")), createTask(waiter("second"))];
    yield* sleep(0);
    yield* condition.acquire();
    condition.notify(1);
    yield* sleep(0);
    for (const message of ["one", "two", "three"]) {
      first.cancel(message);
      yield* sleep(0);
      yield* sleep(0);
      expect(first.done()).toBe(false);
    }
    condition.release();
    expect((yield* raised(first)).message).toBe("three");
    yield* second;
    expect(woken).toEqual(["second"]);

    const queue = new Queue<number>();
    const [one, two] = [createTask(queue.get()), createTask(queue.get())];
    yield* sleep(0);
    queue.putNowait(1);
    one.cancel();
    yield* raised(one);
    expect(yield* two).toBe(1);
  }));

test("17. a circle of tasks that await each other: cancel is a clear error, not an endless recursion", () =>
  // run() is not used, because it would cancel the circle at its end.
  new EventLoop({ clock: virtualClock() }).runUntilComplete(function* () {
    // Many cancels are no circle.
    const stubborn = createTask(function* () {
      for (let i = 0; i < 600; i++) yield* raised(sleep(10));
    });
    yield* sleep(0);
    for (let i = 0; i < 600; i++) {
      stubborn.cancel();
      yield* sleep(0);
    }
    expect(stubborn.cancelling()).toBe(600);
    const tasks: Task<unknown>[] = [];
    tasks.push(
      createTask(function* () {
        yield* tasks[1]!;
      }),
      createTask(function* () {
        yield* tasks[0]!;
      }),
    );
    yield* sleep(0);
    expect(() => tasks[0]!.cancel()).toThrow(expect.objectContaining({ code: "AWAIT_CYCLE" }));
    expect(tasks.map((task) => task.cancelling())).toEqual([0, 0]);
    // A long chain is no circle.
    let last: Task<unknown> = createTask(sleep(10));
    for (let i = 0; i < 1000; i++) {
      const next = last;
      last = createTask(() => next);
    }
    yield* sleep(0);
    last.cancel();
    expect(yield* raised(last)).toBeInstanceOf(CancelledError);
    const itself = createTask(function* () {
      yield* currentTask()!;
    });
    expect((yield* raised(itself)).message).toMatch(/await.* itself/);
  }));

test("18. throw undefined fails a task", () =>
  inVirtualTime(function* () {
    const task = createTask(function* () {
      yield* sleep(0);
      // oxlint-disable-next-line no-throw-literal -- that it may be anything is the point
      throw undefined;
    });
    let caught: unknown = "nothing";
    try {
      yield* task;
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeUndefined();
    expect([task.done(), task.cancelled()]).toEqual([true, false]);
    caught = "nothing";
    try {
      yield* gather([task]);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeUndefined();
  }));

test("19. wait, asCompleted and a group's abort follow the order of arguments and creation", () =>
  inVirtualTime(function* () {
    const loop = getRunningLoop();
    const futures = Array.from({ length: 20 }, () => loop.createFuture<number>());
    const shuffled = futures.toSorted(
      (a, b) => ((futures.indexOf(a) * 7) % 20) - ((futures.indexOf(b) * 7) % 20),
    );
    for (const [index, future] of futures.entries()) future.setResult(index);
    const { done } = yield* wait(shuffled);
    expect([...done].map((future) => shuffled.indexOf(future))).toEqual(shuffled.map((_, index) => index));
    const completed: unknown[] = [];
    for (const next of asCompleted(shuffled)) completed.push(yield* next);
    expect(completed).toEqual(shuffled.map((future) => futures.indexOf(future)));
    const ended: number[] = [];
    yield* raised(
      taskGroup(function* (group) {
        for (let i = 0; i < 20; i++) {
          group.createTask(function* () {
            const error = yield* raised(sleep(1000 - i));
            ended.push(i);
            throw error;
          });
        }
        yield* sleep(1);
        throw new Error("abort");
      }),
    );
    expect(ended).toEqual(Array.from({ length: 20 }, (_, i) => i));
  }));
