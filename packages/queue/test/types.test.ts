import { Future, createTask, getRunningLoop, sleep } from "@taskloom/loop";
import type { Executor, Task } from "@taskloom/loop";
import { call, defineProgress, defineTask } from "@taskloom/queue";
import type { RemoteMap, RemoteTask, TaskQueue, TaskWorkerOptions } from "@taskloom/queue";
import { defineLaneTask } from "@taskloom/queue/lane";
import type { LaneRunnerFactory, LaneTaskDefinition, Step, StepRunner } from "@taskloom/queue/lane";
import { expectTypeOf, test } from "vitest";
import { z } from "zod";

const add = defineTask({ name: "types.add" }, async (a: number, b: number) => a + b);
const later = defineTask({ name: "types.later" }, function* (label: string): Generator<
  unknown,
  string,
  never
> {
  return label;
});
const list = defineTask({ name: "types.list" }, async (numbers: number[]) => numbers.length);
const plain = defineTask({ name: "types.plain" }, (flag: boolean) => [flag]);

/** Never called: what is in here is only compiled. */
export async function compiles(queue: TaskQueue): Promise<void> {
  await compilesLane(queue, (): never => {
    throw new Error("never called");
  });
  expectTypeOf(queue.submit(add, 1, 2)).toEqualTypeOf<RemoteTask<number>>();
  expectTypeOf(queue.submit(later, "x")).toEqualTypeOf<RemoteTask<string>>();
  expectTypeOf(queue.submit(plain, true)).toEqualTypeOf<RemoteTask<boolean[]>>();
  expectTypeOf(queue.map(add, [[1, 2]])).toEqualTypeOf<RemoteMap<number>>();
  expectTypeOf(await queue.flow(call(add, 1, 2), [call(later, "x")])).toEqualTypeOf<number>();
  expectTypeOf(queue.attach(add, "id")).toEqualTypeOf<RemoteTask<number>>();
  expectTypeOf(queue.attach("loop.id")).toEqualTypeOf<RemoteTask<unknown>>();
  expectTypeOf(queue).toExtend<Executor>();
  expectTypeOf(getRunningLoop().runInExecutor(queue, add, 1, 2)).toEqualTypeOf<Task<number>>();

  // @ts-expect-error -- an argument is missing
  queue.submit(add, 1);
  // @ts-expect-error -- an argument too many
  queue.submit(add, 1, 2, 3);
  // @ts-expect-error -- an argument of the wrong type
  queue.submit(add, 1, "2");
  // @ts-expect-error -- a plain function has no name that a worker could find it by
  queue.submit(async (a: number) => a, 1);
  // @ts-expect-error -- the result is a number
  const wrong: RemoteTask<string> = queue.submit(add, 1, 2);
  // @ts-expect-error -- an item with an argument of the wrong type
  queue.map(add, [[1, "2"]]);
  expectTypeOf(queue.map(later, ["x"])).toEqualTypeOf<RemoteMap<string>>();
  expectTypeOf(queue.map(later, [["x"]])).toEqualTypeOf<RemoteMap<string>>();
  // @ts-expect-error -- an item that is no argument of the task
  queue.map(later, [1]);
  // @ts-expect-error -- a task of two arguments needs lists of them
  queue.map(add, [1]);
  // @ts-expect-error -- an argument that is an array stands in a list
  queue.map(list, [[1]]);
  expectTypeOf(queue.submit(add, 1, 2).then(null, () => "")).toEqualTypeOf<Promise<number | string>>();
  expectTypeOf(sleep(1, "x").then(null, () => 1)).toEqualTypeOf<Promise<string | number>>();
  expectTypeOf(new Future<Date>().then(null, () => "")).toEqualTypeOf<Promise<Date | string>>();
  expectTypeOf(createTask(async () => 1).then(null, null)).toEqualTypeOf<Promise<number>>();
  expectTypeOf(queue.submit(add, 1, 2).then(undefined, () => "")).toEqualTypeOf<Promise<number | string>>();
  defineTask({ name: "x", backoff: (attempt, error) => attempt + String(error).length }, async () => {});
  const mail = defineTask(
    {
      name: "types.mail",
      concurrency: { limit: 1, key: ([to]) => expectTypeOf(to).toEqualTypeOf<string>() && to },
      rateLimit: { max: 1, duration: 1_000, key: (args) => args[0] },
    },
    async (to: string, times: number) => times + to.length,
  );
  expectTypeOf(queue.submit(mail, "a", 1)).toEqualTypeOf<RemoteTask<number>>();
  const copied = defineProgress<{ done: number }>();
  const copy = defineTask({ name: "types.copy", progress: copied, attempts: 2 }, async (parts: number) => {
    copied.report({ done: parts });
    // @ts-expect-error -- a value of another type
    copied.report({ done: "1" });
    return parts;
  });
  const copying = queue.submit(copy, 1);
  expectTypeOf(copying).toEqualTypeOf<RemoteTask<number, { done: number }>>();
  copying.onProgress((value) => expectTypeOf(value).toEqualTypeOf<{ done: number }>());
  for await (const value of copying.progress()) expectTypeOf(value).toEqualTypeOf<{ done: number }>();
  // @ts-expect-error -- a listener of another type
  copying.onProgress((value: { percent: string }) => value);
  expectTypeOf(queue.with({ delay: 1 }).submit(copy, 1)).toEqualTypeOf<typeof copying>();
  expectTypeOf(queue.attach(copy, "id")).toEqualTypeOf<typeof copying>();
  queue.submit(add, 1, 2).onProgress((value) => expectTypeOf(value).toBeUnknown());
  expectTypeOf(copying).toExtend<RemoteTask<unknown>>();
  expectTypeOf(copying).toExtend<Task<number>>();
  // @ts-expect-error -- progress is made by defineProgress
  defineTask({ name: "x", progress: {} }, async () => {});
  // @ts-expect-error -- a key is a text
  defineTask({ name: "x", concurrency: { limit: 1, key: ([n]) => n } }, async (n: number) => n);
  // @ts-expect-error -- a limit has a number of slots
  defineTask({ name: "x", concurrency: { key: "limitKey" } }, async () => {});
  // @ts-expect-error -- a function belongs to the task
  queue.with({ backoff: () => 1 });
  // @ts-expect-error -- there is no such option
  queue.with({ prority: 1 });
  // @ts-expect-error -- a mode that does not exist
  queue.with({ deduplicate: { key: "k", replaces: true } });
  // @ts-expect-error -- a call with the wrong argument
  call(add, 1, "2");
  // @ts-expect-error -- a schedule has one kind of times
  void queue.schedule("x", { cron: "* * * * *", every: 5 }, add, 1, 2);
  // @ts-expect-error -- an interval has no time zone
  void queue.schedule("x", { every: 5, timezone: "Europe/Berlin" }, add, 1, 2);
  // @ts-expect-error -- the scheduled task's arguments are checked, too
  void queue.schedule("x", { every: 5 }, add, 1);
  // @ts-expect-error -- there is no such option
  defineTask({ name: "x", retries: 3 }, async () => {});
  // @ts-expect-error -- a schema for other arguments
  defineTask({ name: "x", args: z.tuple([z.string()]) }, async (n: number) => n);
  // @ts-expect-error -- there is no such option
  const options: TaskWorkerOptions = { tasks: [add], concurency: 5 };
  void [wrong, options];
}

/** A package that brings a lane of its own. */
async function compilesLane(queue: TaskQueue, open: LaneRunnerFactory): Promise<void> {
  const order = defineLaneTask(
    "defineOrder",
    { name: "types.order" },
    open,
    function* (id: string): Generator<unknown, number, never> {
      return id.length;
    },
  );
  expectTypeOf(order).toExtend<LaneTaskDefinition<[string], PromiseLike<number>>>();
  expectTypeOf(queue.submit(order, "a")).toEqualTypeOf<RemoteTask<number>>();
  expectTypeOf(queue.attach(order, "id")).toEqualTypeOf<RemoteTask<number>>();
  expectTypeOf(await queue.flow(call(order, "a"), [call(add, 1, 2)])).toEqualTypeOf<number>();
  const options: TaskWorkerOptions = { tasks: [add, order], runs: 5 };
  expectTypeOf<Parameters<StepRunner["run"]>>().toEqualTypeOf<[step: Step]>();

  // @ts-expect-error -- an argument of the wrong type
  queue.submit(order, 1);
  // @ts-expect-error -- a lane of its own is brought, and not named
  defineTask({ name: "x", runsOn: "workflow" }, async () => {});
  // @ts-expect-error -- the lane is that of the runner
  defineLaneTask("defineOrder", { name: "x", runsOn: "loop" }, open, async () => {});
  // @ts-expect-error -- a durable run has no limits
  defineLaneTask("defineOrder", { name: "x", concurrency: 1 }, open, async () => {});
  // @ts-expect-error -- a lane needs its runner
  defineLaneTask("defineOrder", { name: "x" }, async () => {});
  void options;
}

test("what must compile compiles, and what must not does not", () => {
  // `tsc` is what fails when one of the expectations above does not hold; `pnpm run typecheck` runs it.
  expectTypeOf(compiles).returns.resolves.toBeVoid();
});
