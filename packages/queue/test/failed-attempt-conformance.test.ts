import { UnrecoverableError, TaskQueue, currentJob, defineTask, failedAttempt } from "@taskloom/queue";
import { LaneQueues, readJob } from "@taskloom/queue/operating";
import { describe, expect } from "vitest";
import {
  failedAttempt as read,
  withAttempt,
  decodeFailure,
  storedAttempt,
} from "../src/wire/failed-attempt.ts";
import { encodeError } from "../src/wire/encode.ts";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

class BankError extends Error {
  override readonly name = "BankError";
  readonly card = "4242";
}

async function errorOf(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected a failure");
}

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("the error of a waiter tells the attempt, and is otherwise the error of the user", async ({
    pair,
  }) => {
    const charge = defineTask({ name: "test.charge", attempts: 3 }, async () => {
      throw new BankError("no answer");
    });
    await pair.work([charge]);
    const task = pair.queue.submit(charge);
    const error = await errorOf(task);
    const expected = { id: task.id, task: "test.charge", attempt: 3, attempts: 3 };
    expect(failedAttempt(error)).toEqual(expected);
    expect(error).toMatchObject({ name: "BankError", message: "no answer", card: "4242" });
    expect(Object.getOwnPropertyNames(error).toSorted()).toEqual(["card", "message", "name", "stack"]);
    expect((error as Error).stack).toMatch(
      new RegExp(
        `BankError: no answer\\n    at (.|\\n)*\\n    at attempt 3 of 3 of job ${task.id} \\(test.charge\\)`,
      ),
    );
    // Another process reads the stored failure.
    await using other = new TaskQueue({ engine: pair.engine, name: pair.queue.name });
    expect(failedAttempt(await errorOf(other.attach(task.id)))).toEqual(expected);
  });

  test("an error that is not retried tells the attempt that was the last", async ({ pair }) => {
    const refuse = defineTask({ name: "test.refuse", attempts: 5 }, async () => {
      throw new UnrecoverableError("there is no card");
    });
    const outer = defineTask({ name: "test.outer" }, async () => await pair.queue.submit(refuse));
    await pair.work([refuse, outer], { concurrency: 2 });
    expect(failedAttempt(await errorOf(pair.queue.submit(refuse)))).toMatchObject({
      attempt: 1,
      attempts: 5,
    });
    // The error of a job that waited for the job names both in its stack, and the one that was waited for here.
    const task = pair.queue.submit(outer);
    const error = await errorOf(task);
    expect(error).toBeInstanceOf(UnrecoverableError);
    expect(failedAttempt(error)).toMatchObject({ id: task.id, task: "test.outer", attempt: 1, attempts: 1 });
    expect((error as Error).stack).toMatch(
      /attempt 1 of 5 of job \S+ \(test.refuse\)(.|\n)*attempt 1 of 1 of job/,
    );
  });

  test("an operator reads the start, the end and the error of each failed attempt", async ({ pair }) => {
    const charge = defineTask({ name: "test.charge", attempts: 3 }, async () => {
      throw new BankError(`no answer ${currentJob()?.attempt}`);
    });
    await pair.work([charge]);
    const task = pair.queue.submit(charge);
    await errorOf(task);
    const queues = new LaneQueues(pair.queue.engine, pair.queue.name);
    const job = (await readJob(queues, { lane: "loop", stored: task.id }))!;
    const { failures = [], submittedAt, startedAt, finishedAt } = job;
    expect(failures).toMatchObject(
      [1, 2, 3].map((attempt) => ({
        attempt,
        error: { name: "BankError", message: `no answer ${attempt}` },
      })),
    );
    const times = failures.flatMap((each) => [each.startedAt!, each.endedAt!]);
    expect(times.every((time) => Number.isFinite(time))).toBe(true);
    // All of them are on one clock.
    expect([submittedAt, ...times]).toEqual([submittedAt, ...times].toSorted((a, b) => a - b));
    expect(times.at(-2)).toBe(startedAt);
    expect(finishedAt).toBeGreaterThanOrEqual(startedAt!);
    await queues.close();
  });

  test("the error of an item of a map tells the attempts of the item", async ({ pair }) => {
    const shared = new BankError("for all");
    const charge = defineTask({ name: "test.charge", attempts: 3 }, async (fault: string) => {
      // oxlint-disable-next-line typescript/only-throw-error -- a task can throw any value
      if (fault === "odd") throw fault;
      if (fault === "shared") throw shared;
      if (fault === "final") throw new UnrecoverableError("no card");
      if (fault !== "") throw new BankError(fault);
      return "charged";
    });
    await pair.work([charge]);
    const faults = ["", "no answer", "final", "odd", "shared", "shared"];
    const ends: unknown[] = [];
    for await (const end of pair.queue.map(charge, faults).settled())
      ends.push(end.status === "rejected" ? end.reason : end.value);
    const [charged, answer, final, odd, first, second] = ends;
    expect(charged).toBe("charged");
    const { id } = failedAttempt(answer)!;
    expect(await pair.queue.attach(id)).toBeDefined();
    expect(failedAttempt(answer)).toEqual({ id, task: "test.charge", attempt: 3, attempts: 3 });
    expect(answer).toMatchObject({ name: "BankError", message: "no answer", card: "4242" });
    expect(Object.getOwnPropertyNames(answer).toSorted()).toEqual(["card", "message", "name", "stack"]);
    const last = (error: unknown): string => (error as Error).stack!.split("\n").at(-1)!;
    expect(last(answer)).toBe(`    at attempt 3 of 3 of job ${id} (test.charge)`);
    expect(failedAttempt(final)).toEqual({ id, task: "test.charge", attempt: 1, attempts: 3 });
    expect(odd).toBe("odd");
    // The calls have thrown one object, whose stack names the attempt once.
    expect(second).toBe(first);
    expect((first as Error).stack!.match(/at attempt/g)).toHaveLength(1);
    // A pack of one item, and an error that ends the iteration.
    const thrown = await errorOf(pair.queue.map(charge, ["no answer"], { chunkSize: 1 }).toArray());
    expect(failedAttempt(thrown)).toMatchObject({ task: "test.charge", attempt: 3, attempts: 3 });
  });

  test("a thrown value that is no error has no attempt", async ({ pair }) => {
    const odd = defineTask({ name: "test.odd" }, async () => {
      // oxlint-disable-next-line typescript/only-throw-error -- a task can throw any value
      throw "a text";
    });
    await pair.work([odd]);
    const error = await errorOf(pair.queue.submit(odd));
    expect(error).toBe("a text");
    expect(failedAttempt(error)).toBeUndefined();
  });

  test("a stored attempt that is none is not read", async () => {
    const encoded = encodeError(new Error("x"));
    const failed = { id: "loop.x", task: "t", attempt: 1, attempts: 2 };
    expect(read(decodeFailure(withAttempt(encoded, failed)))).toEqual(failed);
    for (const attempt of [1, null, {}, { ...failed, attempt: "1" }, { ...failed, id: 7 }]) {
      const stored = { ...(encoded as object), attempt };
      expect(read(decodeFailure(stored))).toBeUndefined();
    }
    const timed = withAttempt(encoded, { ...failed, startedAt: 5, endedAt: "6" as never });
    expect(storedAttempt(timed)).toEqual({ ...failed, startedAt: 5 });
    expect(read(decodeFailure(timed))).toEqual(failed);
  });
});
