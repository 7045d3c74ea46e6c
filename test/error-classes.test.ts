import * as loop from "@taskloom/loop";
import * as loopTesting from "@taskloom/loop/testing";
import * as offload from "@taskloom/offload";
import * as queue from "@taskloom/queue";
import { describe, expect, expectTypeOf, test } from "vitest";
import * as threads from "../packages/offload/src/boundary/error-transport.ts";
import { decodeError } from "../packages/queue/src/wire/decode.ts";
import { encodeError } from "../packages/queue/src/wire/encode.ts";
import { ServiceError } from "../apps/worker/src/errors/service-error.ts";

type ErrorClass = new (...args: never[]) => Error;

const classes = Object.entries<unknown>({ ...loop, ...offload, ...queue }).filter(
  (entry): entry is [string, ErrorClass] =>
    typeof entry[1] === "function" && entry[1].prototype instanceof Error,
);

/** An error of each exported class, created as its package creates it. */
const examples: Record<string, Error> = {
  ArgumentError: new loop.ArgumentError("m"),
  BrokenBarrierError: new loop.BrokenBarrierError(),
  CancelledError: new loop.CancelledError("m"),
  ConnectionLostError: new loop.ConnectionLostError(),
  DeadlockError: new loop.DeadlockError("m"),
  IncompleteReadError: new loop.IncompleteReadError(new Uint8Array(1), 2),
  InvalidStateError: new loop.InvalidStateError("m"),
  LimitOverrunError: new loop.LimitOverrunError("m", 1),
  QueueEmpty: new loop.QueueEmpty(),
  QueueFull: new loop.QueueFull(),
  QueueShutDown: new loop.QueueShutDown(),
  TaskloomError: new loop.TaskloomError("SOME_CODE", "m"),
  TimeoutError: new loop.TimeoutError(),
  UsageError: new loop.UsageError("SOME_USE", "m"),
  NotSelfContainedError: new offload.NotSelfContainedError("m"),
  NotThreadableError: new offload.NotThreadableError("m"),
  PoolClosedError: new offload.PoolClosedError("m"),
  ThreadDiedError: new offload.ThreadDiedError("m", "crash"),
  ThreadRecursionError: new offload.ThreadRecursionError("m"),
  TransferError: new offload.TransferError("m"),
  UncloneableError: new offload.UncloneableError("arguments[0]", "a promise"),
  EmbeddedDatabaseError: new queue.EmbeddedDatabaseError("EMBEDDED_PATH", "/data", "m"),
  EngineFullError: new queue.EngineFullError("m"),
  EngineUnavailableError: new queue.EngineUnavailableError("m"),
  EngineUnsupportedError: new queue.EngineUnsupportedError("m"),
  EngineUrlError: new queue.EngineUrlError("m"),
  FlowChildFailedError: new queue.FlowChildFailedError("m"),
  JobLostError: new queue.JobLostError("m"),
  QueueClosedError: new queue.QueueClosedError("m"),
  ShardDownError: new queue.ShardDownError("m"),
  ShardsDifferError: new queue.ShardsDifferError("m"),
  TaskArgumentsError: new queue.TaskArgumentsError("add", []),
  TaskOptionsError: new queue.TaskOptionsError("m"),
  TaskloomQueueError: new queue.TaskloomQueueError("SOME_CODE", "m"),
  UnrecoverableError: new queue.UnrecoverableError("m"),
  WireError: new queue.WireError("UNSENDABLE", "arguments[0]", "m"),
  WorkerDiedError: new queue.WorkerDiedError("m"),
};

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

test("there is an example of each exported class", () => {
  expect(Object.keys(examples).toSorted()).toEqual(classes.map(([name]) => name).toSorted());
});

describe.for(classes)("%s", ([name, each]) => {
  const error = examples[name]!;

  test("is a TaskloomError with a code, but for CancelledError", () => {
    expect(error).toBeInstanceOf(each);
    expect(error.name).toBe(name);
    expect(codeOf(error)).toMatch(/^[A-Z][A-Z_]+$/);
    expect(error instanceof loop.TaskloomError).toBe(name !== "CancelledError");
  });

  test("keeps its class and its code where it crosses threads and machines", () => {
    expect(loop.knownErrorPrototype([name])).toBe(each.prototype);
    const crossed = [
      threads.decodeError(structuredClone(threads.encodeError(error))),
      decodeError(JSON.parse(JSON.stringify(encodeError(error)))),
    ];
    for (const arrived of crossed) {
      expect(arrived).toBeInstanceOf(each);
      expect(codeOf(arrived)).toBe(codeOf(error));
      expect((arrived as Error).name).toBe(name);
      expect(arrived instanceof loop.TaskloomError).toBe(name !== "CancelledError");
    }
  });
});

test("errors that are a built-in error, too, keep that base class", () => {
  expect(examples["ArgumentError"]).toBeInstanceOf(TypeError);
  expect(examples["NotThreadableError"]).toBeInstanceOf(TypeError);
  expect(examples["UncloneableError"]).toBeInstanceOf(TypeError);
  expect(examples["TransferError"]).toBeInstanceOf(TypeError);
  expect(examples["NotSelfContainedError"]).toBeInstanceOf(ReferenceError);
});

test("instanceof a subclass of TaskloomError follows the prototypes alone", () => {
  class ShopError extends loop.TaskloomError {}
  class BadSku extends loop.ArgumentError {}
  expect(new BadSku("m") instanceof loop.TaskloomError).toBe(true);
  expect(new ShopError("SHOP") instanceof loop.TaskloomError).toBe(true);
  for (const subclass of [ShopError, loop.UsageError, loop.TimeoutError, queue.TaskloomQueueError]) {
    expect(examples["ArgumentError"] instanceof subclass).toBe(false);
    expect(examples["TaskloomError"] instanceof subclass).toBe(false);
  }
  for (const other of [new Error("m"), new TypeError("m"), { code: "X" }, "text", null, undefined])
    expect(other instanceof loop.TaskloomError).toBe(false);
});

test("testing's and the service's errors are TaskloomErrors", () => {
  const errors = [new loopTesting.ScheduleError(1, "m"), new ServiceError(404, "NOT_FOUND", "m")];
  for (const error of errors) expect(error).toBeInstanceOf(loop.TaskloomError);
  expect(errors.map(codeOf)).toEqual(["SCHEDULE_FAILED", "NOT_FOUND"]);
});

test("the types say so, too", () => {
  expectTypeOf<loop.ArgumentError>().toExtend<loop.TaskloomError>();
  expectTypeOf<offload.NotThreadableError>().toExtend<loop.TaskloomError>();
  expectTypeOf<offload.ThreadDiedError>().toExtend<loop.TaskloomError>();
  expectTypeOf<queue.TaskloomQueueError>().toExtend<loop.TaskloomError>();
  expectTypeOf<queue.WireError>().toExtend<queue.TaskloomQueueError>();
  expectTypeOf<offload.ThreadDiedError["code"]>().toEqualTypeOf<"THREAD_DIED">();
  const narrow = (error: unknown): string => {
    if (error instanceof loop.LimitOverrunError) expectTypeOf(error).toEqualTypeOf<loop.LimitOverrunError>();
    return error instanceof loop.TaskloomError ? error.code : "";
  };
  expect(narrow(examples["ArgumentError"])).toBe("INVALID_ARGUMENT");
});
