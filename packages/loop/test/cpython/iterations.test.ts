import {
  asCompleted,
  coroutine,
  createTask,
  getRunningLoop,
  gather,
  Lock,
  Queue,
  shield,
  sleep,
  taskGroup,
  wait,
  waitFor,
} from "@taskloom/loop";
import { expect, test } from "vitest";

import { inVirtualTime, iterations, raised } from "./virtual-time.ts";

// The number of iterations that pass for the awaiting task, as in CPython 3.13.

const nothing = coroutine(function* () {});

test("0 for what is there: a done future, a free lock, a ready queue, an empty group", () =>
  inVirtualTime(function* () {
    const future = getRunningLoop().createFuture<void>();
    future.setResult();
    expect(yield* iterations(() => future)).toBe(0);
    expect(yield* iterations(() => new Lock().acquire())).toBe(0);
    const queue = new Queue<number>();
    queue.putNowait(1);
    expect(yield* iterations(() => queue.get())).toBe(0);
    expect(yield* iterations(() => queue.put(1))).toBe(0);
    expect(yield* iterations(() => taskGroup(function* () {}))).toBe(0);
    expect(yield* iterations(() => nothing())).toBe(0);
    expect(yield* iterations(() => waitFor(nothing(), 10))).toBe(0);
  }));

test("1 for sleep(0); 2 for wait on what is done: its callbacks go through the ready queue", () =>
  inVirtualTime(function* () {
    expect(yield* iterations(() => sleep(0))).toBe(1);
    const future = getRunningLoop().createFuture<void>();
    future.setResult();
    expect(yield* iterations(() => wait([future]))).toBe(2);
  }));

test("2 for awaiting a new task, for waitFor of one, for cancelling one that has not started", () =>
  inVirtualTime(function* () {
    expect(yield* iterations(() => createTask(nothing()))).toBe(2);
    expect(yield* iterations(() => waitFor(createTask(nothing()), 10))).toBe(2);
    const task = createTask(nothing());
    task.cancel();
    const before = getRunningLoop()._iterations;
    yield* raised(task);
    expect(getRunningLoop()._iterations - before).toBe(2);
  }));

test("3 for gather, wait, shield, asCompleted and a group of one new task", () =>
  inVirtualTime(function* () {
    expect(yield* iterations(() => gather([nothing()]))).toBe(3);
    expect(yield* iterations(() => wait([createTask(nothing())]))).toBe(3);
    expect(yield* iterations(() => shield(nothing()))).toBe(3);
    expect(yield* iterations(() => [...asCompleted([nothing()])][0]!)).toBe(3);
    expect(
      yield* iterations(() =>
        taskGroup(function* (group) {
          group.createTask(nothing());
        }),
      ),
    ).toBe(3);
  }));
