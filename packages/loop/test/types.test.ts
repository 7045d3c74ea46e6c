import { expectTypeOf, test } from "vitest";
import {
  asCompleted,
  coroutine,
  createTask,
  ensureFuture,
  Future,
  gather,
  getEventLoop,
  getRunningLoop,
  Lock,
  PriorityQueue,
  Queue,
  run,
  shield,
  sleep,
  taskGroup,
  timeout,
  wait,
  waitFor,
} from "@taskloom/loop";
import type { Coroutine, EventLoop, Executor, Held, Task } from "@taskloom/loop";

// tsc checks these functions; they are never called.
test("types follow what is awaited, in both spellings", () => {
  expectTypeOf(generators).returns.toEqualTypeOf<Generator<never, void, unknown>>();
  expectTypeOf(asyncFunctions).returns.toEqualTypeOf<Promise<void>>();
});

function* generators(): Generator<never, void, unknown> {
  expectTypeOf(yield* sleep(1, "a")).toEqualTypeOf<string>();
  expectTypeOf(yield* new Future<number>()).toEqualTypeOf<number>();
  expectTypeOf(yield* createTask(async () => 5)).toEqualTypeOf<number>();
  expectTypeOf(
    yield* coroutine(function* (a: number) {
      yield* sleep(a);
      return [a];
    })(1),
  ).toEqualTypeOf<number[]>();
  expectTypeOf(yield* gather([sleep(1, "a"), async () => 2])).toEqualTypeOf<[string, number]>();
  expectTypeOf(yield* timeout(5, () => sleep(1, true))).toEqualTypeOf<boolean>();
  expectTypeOf(yield* new Queue<string>().get()).toEqualTypeOf<string>();
  expectTypeOf(yield* new Lock().acquire()).toEqualTypeOf<Held>();
  for (const next of asCompleted([sleep(1, "a")])) expectTypeOf(yield* next).toEqualTypeOf<string>();
}

async function asyncFunctions(): Promise<void> {
  expectTypeOf(await run(async () => 1)).toEqualTypeOf<number>();
  expectTypeOf(
    await run(function* () {
      yield* sleep(1);
      return "a";
    }),
  ).toEqualTypeOf<string>();
  expectTypeOf(await sleep(1)).toEqualTypeOf<undefined>();
  expectTypeOf(createTask(sleep(1, "a"))).toEqualTypeOf<Task<string>>();
  expectTypeOf(ensureFuture(Promise.resolve(1))).toEqualTypeOf<Future<number>>();
  expectTypeOf(waitFor(async () => 1, 5)).toEqualTypeOf<Coroutine<number>>();
  expectTypeOf(shield(async () => 1)).toEqualTypeOf<Future<number>>();
  expectTypeOf(await taskGroup(async (group) => [group.createTask(sleep(1, 2))] as const)).toEqualTypeOf<
    readonly [Task<number>]
  >();
  const tasks = [createTask(sleep(1, "a"))];
  expectTypeOf(await wait(tasks)).toEqualTypeOf<{ done: Set<Task<string>>; pending: Set<Task<string>> }>();
  for await (const next of asCompleted(tasks)) expectTypeOf(next).toEqualTypeOf<Future<string>>();
  expectTypeOf(await gather([async () => 1, sleep(1, "a")], { returnExceptions: true })).toEqualTypeOf<
    [number | Error, string | Error]
  >();
  expectTypeOf(tasks[0]!.getLoop()).toEqualTypeOf<EventLoop>();
  expectTypeOf(getRunningLoop()).toEqualTypeOf<EventLoop>();
  expectTypeOf(getEventLoop()).toEqualTypeOf<EventLoop>();
  const submit = (executor: Executor) => executor.submit(async (a: number) => String(a), 1);
  expectTypeOf(submit).returns.toEqualTypeOf<Task<string>>();

  // @ts-expect-error a task is made of something to await
  createTask(5);
  // @ts-expect-error a function has to give something to await
  createTask(() => 5);
  // @ts-expect-error wait takes futures, not coroutines
  wait([sleep(1)]);
  // @ts-expect-error the queue's items have a type
  new Queue<string>().putNowait(1);
  // @ts-expect-error a comparison of what the queue holds
  void new PriorityQueue<string>(0, (a: number, b: number) => a - b);
  // @ts-expect-error there is no such mode
  wait(tasks, { returnWhen: "SOMETIME" });
  // @ts-expect-error a coroutine's arguments are the function's
  coroutine(async (a: number) => a)("1");
}
