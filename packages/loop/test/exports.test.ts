import { expect, test } from "vitest";
import * as loop from "@taskloom/loop";
import * as testing from "@taskloom/loop/testing";
import * as hints from "@taskloom/loop/did-you-mean";
import * as lifecycle from "@taskloom/loop/lifecycle";
import * as stopSignals from "@taskloom/loop/stop-signals";
import * as timer from "@taskloom/loop/timer";

test("each public name surfaces exactly once, and what a design promised is there", () => {
  const names = [loop, testing, timer, hints, stopSignals, lifecycle].flatMap((entry) => Object.keys(entry));
  expect(new Set(names).size).toBe(names.length);
  const promised =
    "EventLoop Future Task ExternalTask Coroutine coroutine isCoroutine isCoroutineFunction isAsyncGeneratorFunction " +
    "run Runner createTask ensureFuture currentTask allTasks sleep gather wait waitFor asCompleted shield timeout " +
    "timeoutAt taskGroup getRunningLoop getEventLoop setEventLoop newEventLoop currentDeadline fromSignal " +
    "reportProgress CancelledError TimeoutError InvalidStateError QueueEmpty QueueFull QueueShutDown " +
    "BrokenBarrierError IncompleteReadError LimitOverrunError DeadlockError Lock Event Condition Semaphore " +
    "BoundedSemaphore Barrier Queue PriorityQueue LifoQueue captureCallGraph formatCallGraph asyncGenerator " +
    "virtualClock explore startTimer StopSignals";
  for (const name of promised.split(" ")) expect(names, name).toContain(name);
});

test("every error has its name, a stable code, and a message that says what to do", () => {
  const errors: [loop.TaskloomError | loop.CancelledError | loop.ArgumentError, string][] = [
    [new loop.CancelledError("m"), "CANCELLED"],
    [new loop.TimeoutError(), "TIMEOUT"],
    [new loop.InvalidStateError("m"), "INVALID_STATE"],
    [new loop.QueueEmpty(), "QUEUE_EMPTY"],
    [new loop.QueueFull(), "QUEUE_FULL"],
    [new loop.QueueShutDown(), "QUEUE_SHUT_DOWN"],
    [new loop.BrokenBarrierError(), "BROKEN_BARRIER"],
    [new loop.IncompleteReadError(new Uint8Array(1), 2), "INCOMPLETE_READ"],
    [new loop.LimitOverrunError("m", 1), "LIMIT_OVERRUN"],
    [new loop.DeadlockError("m"), "DEADLOCK"],
    [new loop.UsageError("SOME_USE", "m"), "SOME_USE"],
    [new loop.ArgumentError("m"), "INVALID_ARGUMENT"],
  ];
  for (const [error, code] of errors) {
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe(error.constructor.name);
    expect(error.code).toBe(code);
    expect(error.message).not.toBe("");
  }
});
