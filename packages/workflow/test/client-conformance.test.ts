import { randomUUID } from "node:crypto";
import { CancelledError, sleep, timeout, TimeoutError } from "@taskloom/loop";
import { defineTask, openEngine, TaskQueue } from "@taskloom/queue";
import {
  checkHistories,
  defineSignal,
  defineUpdate,
  defineView,
  defineWorkflow,
  onUpdate,
  ReplayDivergedError,
  runs,
  step,
  treeOf,
  workflowRun,
} from "@taskloom/workflow";
import { describe, expect, expectTypeOf } from "vitest";
import { engines } from "../../queue/test/engines.ts";
import { durable, FakeOwner } from "./fake-owner.ts";

const item = defineSignal<{ n: number }>("item");
const done = defineSignal("done");
const rename = defineUpdate<[name: string], string>("rename");
const refuse = defineUpdate<[], never>("refuse");
const silent = defineUpdate<[], never>("silent");
const count = defineView<number>("count");
const mend = defineTask({ name: "mend" }, async (n: number) => n);

const basket = durable(
  defineWorkflow({ name: "basket" }, function* (first: string) {
    let name = first;
    const items: number[] = [];
    onUpdate(rename, function* (next: string) {
      const before = name;
      name = next;
      return before;
    });
    onUpdate(refuse, function* (): Generator<unknown, never> {
      throw new RangeError("no");
    });
    onUpdate(silent, function* (): Generator<unknown, never> {
      yield* sleep(86_400_000);
      throw new Error("late");
    });
    for (;;) {
      const { n } = yield* item.receive();
      if (n < 0) return `${name}: ${items.join(" ")}`;
      items.push(n);
      count.set(items.length);
    }
  }),
);
const mending = durable(
  defineWorkflow({ name: "mending" }, function* () {
    yield* step(mend, 1);
    yield* done.receive();
  }),
);

const UNTIL = { timeout: 20_000, interval: 20 };

describe.each(engines)("runs from outside on $name", ({ test: engineTest }) => {
  const test = engineTest.extend<{ queue: TaskQueue; owner: FakeOwner }>({
    queue: async ({ engine: url }, use) => {
      const engine = openEngine(url);
      await engine.connect();
      const queue = new TaskQueue({ engine, name: `runs-${randomUUID().slice(0, 8)}` });
      await use(queue);
      await queue.close();
      await engine.close();
    },
    owner: async ({ queue }, use) => {
      const owner = new FakeOwner(queue.engine, queue.name, [basket, mending] as never[]);
      await owner.start();
      await use(owner);
      await owner.close();
    },
  });

  test("signals arrive in order, views change, and the history has both", async ({ queue, owner }) => {
    const submitted = queue.submit(basket, "a");
    const run = workflowRun(queue, submitted);
    expectTypeOf(run.result()).resolves.toEqualTypeOf<string>();
    const seen: number[] = [];
    const watching = (async () => {
      for await (const value of run.views(count)) seen.push(value);
    })();
    for (const n of [1, 2, 3]) await run.signal(item, { n });
    // A sender that died before it had an answer sends again.
    for (const key of ["fourth", "fourth"]) await run.with({ key }).signal(item, { n: 4 });
    await expect.poll(() => seen.at(-1), UNTIL).toBe(4);
    expect(await run.view(count)).toBe(4);
    owner.park(run.id);
    await expect.poll(async () => (await run.status()).state, UNTIL).toBe("parked");
    await run.signal(item, { n: -1 });
    expect(await run.result()).toBe("a: 1 2 3 4");
    await watching;
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    const ticks = await run.history();
    const payloads = ticks.flatMap(({ deliveries }) =>
      deliveries.map((each) => (each.kind === "signal" ? each.payload : each.kind)),
    );
    expect(payloads).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }, { n: -1 }]);
    expect(ticks.at(-1)!.commands).toContainEqual({ kind: "end", state: "completed", value: '"a: 1 2 3 4"' });
    expect(await run.status()).toMatchObject({
      state: "completed",
      unread: 0,
      generation: 0,
      length: ticks.length,
    });
    await expect(run.signal(item, { n: 4 })).rejects.toMatchObject({ code: "RUN_ENDED" });
    await expect(run.update(rename, "x")).rejects.toMatchObject({ code: "RUN_ENDED" });
    await expect(run.cancel()).rejects.toMatchObject({ code: "RUN_ENDED" });
    expect(() => run.with({ key: "" })).toThrow(expect.objectContaining({ code: "WORKFLOW_USAGE" }));
    const none = workflowRun(queue, basket, "none");
    expect(none.id).toBe("workflow.none");
    await expect(none.signal(item, { n: 1 })).rejects.toMatchObject({ code: "RUN_UNKNOWN" });
    await expect(none.status()).rejects.toMatchObject({ code: "RUN_UNKNOWN" });
    await expect(none.terminate()).rejects.toMatchObject({ code: "RUN_UNKNOWN" });
    await expect(none.update(rename, "x")).rejects.toMatchObject({ code: "RUN_UNKNOWN" });
  });

  test("an update has its answer, its error, its time-out, and an answer whose reply was lost", async ({
    queue,
    owner,
  }) => {
    const run = workflowRun(queue, queue.submit(basket, "a"));
    const answer = run.update(rename, "b");
    expectTypeOf(answer).resolves.toEqualTypeOf<string>();
    expect(await answer).toBe("a");
    await expect(run.update(refuse)).rejects.toThrow(new RangeError("no"));
    await expect(timeout(50, run.update(silent))).rejects.toBeInstanceOf(TimeoutError);
    const waiting = run.update(silent);
    waiting.cancel("enough");
    await expect(waiting).rejects.toBeInstanceOf(CancelledError);
    owner.replies = false;
    expect(await run.update(rename, "c")).toBe("b");
    owner.park(run.id);
    await expect.poll(async () => (await run.status()).state, UNTIL).toBe("parked");
    await run.terminate("over");
    await expect(run.result()).rejects.toMatchObject({ message: "over" });
  });

  test("a cancel is delivered, and the run ends as cancelled", async ({ queue, owner }) => {
    const run = workflowRun(queue, queue.submit(basket, "a"));
    await run.signal(item, { n: 1 });
    await run.cancel("customer left");
    await expect(run.result()).rejects.toThrow(new CancelledError("customer left"));
    expect(owner.residents).not.toContain(run.id);
    const deliveries = (await run.history()).flatMap((tick) => tick.deliveries);
    expect(deliveries.at(-1)).toEqual({ kind: "cancel", message: "customer left" });
  });

  test("runs are found by name, state, tag, time and text", async ({ queue, owner }) => {
    const tagged = workflowRun(queue, queue.with({ tags: ["eu", "vip"], id: "one" }).submit(basket, "Ada"));
    const plain = workflowRun(queue, queue.submit(mending));
    await tagged.signal(item, { n: 1 });
    await expect.poll(() => owner.steps.length, UNTIL).toBe(1);
    owner.park(tagged.id);
    await expect.poll(async () => (await tagged.status()).state, UNTIL).toBe("parked");
    const day = 86_400_000; // The owner parks runs for so long.
    expect((await tagged.status()).dueAt).toBeGreaterThan(queue.engine.now() + 0.9 * day);
    expect((await tagged.status()).dueAt).toBeLessThanOrEqual(Math.ceil(queue.engine.now()) + day);
    expect((await plain.status()).dueAt).toBeUndefined();
    const found = async (query: Parameters<typeof runs>[1]): Promise<string[]> =>
      (await runs(queue, query)).runs.map(({ id }) => id);
    expect((await found({})).toSorted()).toEqual([tagged.id, plain.id].toSorted());
    expect(await found({ tag: "vip" })).toEqual([tagged.id]);
    expect(await found({ tag: "vi" })).toEqual([]);
    expect(await found({ name: "mending" })).toEqual([plain.id]);
    expect(await found({ state: "parked" })).toEqual([tagged.id]);
    expect(await found({ state: "active" })).toEqual([plain.id]);
    expect(await found({ text: "ADA" })).toEqual([tagged.id]);
    expect(await found({ since: queue.engine.now() + 60_000 })).toEqual([]);
    expect((await found({ since: queue.engine.now() - 60_000 })).length).toBe(2);
    const first = await runs(queue, { limit: 1 });
    const second = await runs(queue, { limit: 1, cursor: first.next! });
    expect([...first.runs, ...second.runs].map(({ id }) => id).toSorted()).toEqual(
      [tagged.id, plain.id].toSorted(),
    );
    expect(second.next).toBeUndefined();
    expect(await tagged.status()).toMatchObject({ tags: ["eu", "vip"], version: 1, length: 2 });
    owner.park(plain.id, Infinity);
    await expect.poll(async () => (await plain.status()).state, UNTIL).toBe("parked");
    expect((await plain.status()).dueAt).toBeUndefined();
  });

  test("histories are checked against new code, and the tree shows where a run waits", async ({
    queue,
    owner,
  }) => {
    const run = workflowRun(queue, queue.submit(mending));
    await run.signal(done);
    await expect.poll(() => owner.steps.length, UNTIL).toBe(1);
    await expect.poll(async () => (await run.status()).unread, UNTIL).toBe(0);
    expect(await checkHistories(queue, [mending])).toEqual({ checked: 1, unchecked: {}, diverged: [] });
    const changed = durable(
      defineWorkflow({ name: "mending" }, function* () {
        yield* step(mend, 2);
      }),
    );
    const { diverged } = await checkHistories(queue, [changed]);
    expect(diverged).toMatchObject([{ id: run.id, task: "mending", queue: queue.name }]);
    expect(diverged[0]!.error).toBeInstanceOf(ReplayDivergedError);
    expect(diverged[0]!.error.message).toContain("step 1 = mend@1(2)");
    expect(await checkHistories(queue, [])).toEqual({
      checked: 0,
      unchecked: { "mending@1": 1 },
      diverged: [],
    });
    const tree = await treeOf(queue, run, [mending]);
    expect(tree.roots).toMatchObject([{ name: "mending", waitsFor: "<CallFuture pending>" }]);
    expect(tree.pending).toEqual([{ command: 1, kind: "step", name: "mend" }]);
    expect(tree.roots[0]!.stack.join("\n")).toContain("client-conformance.test.ts:");
    expect(tree.wakeAt).toBeUndefined();
    await expect(treeOf(queue, run, [])).rejects.toMatchObject({ code: "WORKFLOW_OPTIONS" });
    await expect(treeOf(queue, run, [changed])).rejects.toMatchObject({ code: "REPLAY_DIVERGED" });
  });
});
