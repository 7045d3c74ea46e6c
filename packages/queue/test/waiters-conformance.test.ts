import { CancelledError, allTasks, currentTask, run } from "@taskloom/loop";
import { TaskQueue, call, defineTask } from "@taskloom/queue";
import { describe, expect, test as plainTest, vi } from "vitest";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

type Schema = NonNullable<NonNullable<Parameters<typeof defineTask>[0]["args"]>>;
const schema = (validate: (value: unknown) => unknown): Schema =>
  ({ "~standard": { version: 1, vendor: "test", validate } }) as Schema;
const isNumber = (value: unknown): object =>
  typeof (value as unknown[])[0] === "number" ? { value } : { issues: [{ message: "no number" }] };

const echo = async (value: unknown): Promise<unknown> => value;
const plain = defineTask({ name: "waiters.plain" }, echo);
const checked = defineTask({ name: "waiters.checked", args: schema(isNumber) as never }, echo);
const checkedLater = defineTask(
  {
    name: "waiters.checked-later",
    args: schema((value) => new Promise((resolve) => setImmediate(resolve, isNumber(value)))) as never,
  },
  echo,
);
const throwing = defineTask(
  {
    name: "waiters.throwing",
    args: schema((value) => {
      if (typeof (value as unknown[])[0] !== "number") throw new RangeError("the schema broke");
      return { value };
    }) as never,
  },
  echo,
);
const broken = defineTask({ name: "waiters.broken", args: schema(() => undefined) as never }, echo);

/** Tasks with arguments that a schema or the wire refuses, and the message of the refusal. */
const refusals = [
  [/no number/, checked, "text"],
  [/no number/, checkedLater, "text"],
  [/the schema broke/, throwing, "text"],
  [/undefined/, broken, 1],
  [/function/, plain, () => 1],
] as const;

/** The ways to submit; each makes waiters. */
const ways = {
  submit: (queue: TaskQueue, task: typeof plain, bad: unknown) => queue.submit(task, bad),
  "flow of a bad child": (queue: TaskQueue, task: typeof plain, bad: unknown) =>
    queue.flow(call(plain, 1), [call(plain, 2), call(task, bad), call(plain, 3)]),
  "flow of a bad parent": (queue: TaskQueue, task: typeof plain, bad: unknown) =>
    queue.flow(call(task, bad), [call(plain, 1)]),
  map: (queue: TaskQueue, task: typeof plain, bad: unknown) => queue.map(task, [[bad]]).toArray(),
  schedule: (queue: TaskQueue, task: typeof plain, bad: unknown) =>
    queue.schedule("waiters", { every: 1_000 }, task, bad),
};

plainTest("sent() does no work of its own while a schema takes its time", async () => {
  const { promise, resolve } = Promise.withResolvers<object>();
  const slow = defineTask({ name: "waiters.slow", args: schema(() => promise) as never }, echo);
  await using queue = new TaskQueue({ engine: "memory:waiters-slow" });
  const job = queue.submit(slow, 1);
  const sent = job.sent();
  const immediate = vi.spyOn(globalThis, "setImmediate");
  for (let turn = 0; turn < 20; turn++) await new Promise((next) => setTimeout(next));
  expect(immediate).not.toHaveBeenCalled();
  immediate.mockRestore();
  resolve({ value: [1] });
  await sent;
  expect(await job.state()).toBe("waiting");
  job.cancel();
  await expect(job).rejects.toThrow(CancelledError);
});

plainTest("sent() ends when the task is cancelled while its schema takes its time", async () => {
  const never = defineTask(
    { name: "waiters.never", args: schema(() => new Promise(() => {})) as never },
    echo,
  );
  await using queue = new TaskQueue({ engine: "memory:waiters-never" });
  const job = queue.submit(never, 1);
  const sent = job.sent();
  job.cancel();
  await expect(sent).rejects.toThrow(CancelledError);
  await expect(job).rejects.toThrow(CancelledError);
});

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test.for(Object.keys(ways) as (keyof typeof ways)[])(
    "%s leaves no task behind, whatever refuses its arguments",
    async (way, { pair }) => {
      const { queue } = pair;
      await queue.connect();
      await run(async () => {
        for (const [message, task, bad] of refusals) {
          const submitted = (async () => await ways[way](queue, task, bad))();
          await expect(submitted).rejects.toThrow(message);
          const left = [...allTasks()].filter((each) => each !== currentTask());
          expect(left, String(message)).toEqual([]);
        }
      });
    },
  );

  test("one call of a map that cannot be sent fails alone", async ({ pair }) => {
    const queue = await pair.work([plain]);
    const results = [];
    for await (const settled of queue.map(plain, [[1], [() => 1], [3]]).settled()) results.push(settled);
    expect(results).toMatchObject([
      { status: "fulfilled", value: 1 },
      { status: "rejected", reason: { code: "UNSENDABLE" } },
      { status: "fulfilled", value: 3 },
    ]);
  });

  test("a map whose source fails cancels what it has sent", async ({ pair }) => {
    const { queue } = pair; // Nobody works, so that what was sent stays pending.
    await run(async () => {
      const items = function* (): Generator<[number]> {
        yield [1];
        yield [2];
        throw new RangeError("the source broke");
      };
      await expect(queue.map(plain, items(), { chunkSize: 1 }).toArray()).rejects.toThrow("the source broke");
      await expect.poll(() => [...allTasks()].filter((each) => each !== currentTask())).toEqual([]);
    });
    expect(await queue.counts()).toMatchObject({ waiting: 0 });
  });
});
