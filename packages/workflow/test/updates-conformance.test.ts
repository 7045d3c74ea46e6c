import { CancelledError, sleep, timeout, TimeoutError } from "@taskloom/loop";
import { defineTask, TaskWorker } from "@taskloom/queue";
import type { TaskQueue } from "@taskloom/queue";
import {
  defineSignal,
  defineUpdate,
  defineView,
  defineWorkflow,
  onUpdate,
  step,
  workflowRun,
} from "@taskloom/workflow";
import { describe, expect } from "vitest";
import { stores } from "../../queue/test/engines.ts";
import { pairTest } from "../../queue/test/pair.ts";

const HOUR_MS = 3_600_000;
const UNTIL = { timeout: 20_000, interval: 20 };
const next = defineSignal<number>("next");
const count = defineView<number>("count");
const add = defineUpdate<[n: number], number>("add");
const refuse = defineUpdate<[], never>("refuse");
const refuseAtOnce = defineUpdate<[], never>("refuse at once");
const silent = defineUpdate<[], void>("silent");
const slow = defineUpdate<[n: number], number>("slow");
const double = defineTask({ name: "updates.double" }, async (n: number) => 2 * n);

/** A sum that updates add to, until a signal of 0; other signals are shown by the view. */
const sums = defineWorkflow({ name: "updates.sums", residentFor: 50 }, function* () {
  let sum = 0;
  onUpdate(add, function* (n) {
    return (sum += n);
  });
  onUpdate(refuse, function* (): Generator<never, never> {
    throw new RangeError("no");
  });
  onUpdate(refuseAtOnce, () => {
    throw new RangeError("not at all");
  });
  onUpdate(silent, function* () {
    yield* sleep(HOUR_MS);
  });
  onUpdate(slow, function* (n) {
    return yield* step(double, n);
  });
  for (;;) {
    const n = yield* next.receive();
    if (n === 0) return sum;
    count.set(n);
  }
});

/** Sends the item of an update, as a client does that repeats it. */
async function sendAdd(queue: TaskQueue, id: string, update: string, n: number, key?: string): Promise<void> {
  const item = JSON.stringify(["u", update, "add", [n]]);
  const answer = await queue.engine.journal.deliver(`${queue.name}.workflow`, id, [item], key);
  expect(answer.kind).toBe("stored");
}

describe.each(stores)("updates and views on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("an update has the answer or the error of its handler, in memory and while the run is parked", async ({
    pair,
  }) => {
    const queue = await pair.work([sums, double]);
    const run = workflowRun(queue, queue.submit(sums));
    expect(await run.update(add, 3)).toBe(3);
    expect(await run.update(slow, 4)).toBe(8);
    await expect(run.update(refuse)).rejects.toThrow(new RangeError("no"));
    // The error of a handler is its asker's, and does not end the run.
    await expect(run.update(refuseAtOnce)).rejects.toThrow(new RangeError("not at all"));
    await expect.poll(async () => (await run.status()).state, UNTIL).toBe("parked");
    expect(await run.update(add, 4)).toBe(7);
    await run.signal(next, 0);
    expect(await run.result()).toBe(7);
    await expect(run.update(add, 1)).rejects.toMatchObject({ code: "RUN_ENDED" });
  });

  test("an answer whose reply is lost is found in the stored view", async ({ pair }) => {
    const worker = new TaskWorker({ engine: pair.engine, queues: [pair.queue.name], tasks: [sums, double] });
    const { replies } = worker.engine;
    const send = replies.send.bind(replies);
    let lost = 0;
    replies.send = (address, message) => {
      if (message.id.includes("#")) lost++;
      else send(address, message);
    };
    const running = worker.run();
    await worker.ready();
    try {
      const run = workflowRun(pair.queue, pair.queue.submit(sums));
      expect(await run.update(add, 5)).toBe(5);
      await expect(run.update(refuse)).rejects.toThrow(new RangeError("no"));
      expect(lost).toBe(2);
      await run.signal(next, 0);
      expect(await run.result()).toBe(5);
    } finally {
      replies.send = send;
      running.cancel();
      await Promise.allSettled([running]);
    }
  });

  test("an update that is sent again is answered again, and handled once", async ({ pair }) => {
    const queue = await pair.work([sums, double]);
    const run = workflowRun(queue, queue.submit(sums));
    expect(await run.update(add, 1)).toBe(1);
    const { engine } = queue;
    const id = `${engine.replies.address}#again`;
    const answers: unknown[] = [];
    await engine.replies.listen(
      (message) => {
        if ("outcome" in message && message.id === id) answers.push(message.outcome);
      },
      () => {},
    );
    await sendAdd(queue, run.id, id, 10, id);
    await sendAdd(queue, run.id, id, 10, id);
    await expect.poll(() => answers.length, UNTIL).toBe(1);
    // The journal has forgotten the key, or never had one.
    await sendAdd(queue, run.id, id, 10);
    await expect.poll(() => answers.length, UNTIL).toBe(2);
    await expect.poll(async () => (await run.status()).state, UNTIL).toBe("parked");
    await pair.stopWorkers();
    await sendAdd(queue, run.id, id, 10);
    await pair.work([sums, double]);
    await expect.poll(() => answers.length, UNTIL).toBe(3);
    expect(answers).toEqual(Array.from({ length: 3 }, () => ({ state: "completed", value: 11 })));
    expect(await run.update(add, 0)).toBe(11);
    await run.signal(next, 0);
    expect(await run.result()).toBe(11);
    const handled = (await run.history()).flatMap(({ deliveries }) =>
      deliveries.filter(({ kind }) => kind === "update"),
    );
    expect(handled).toHaveLength(3);
  });

  test("a cancel ends the waiting for an answer, and neither the handler nor the run", async ({ pair }) => {
    const queue = await pair.work([sums, double]);
    const run = workflowRun(queue, queue.submit(sums));
    await expect(timeout(50, run.update(silent))).rejects.toBeInstanceOf(TimeoutError);
    const waiting = run.update(silent);
    await expect.poll(async () => (await run.history()).length, UNTIL).toBeGreaterThan(1);
    waiting.cancel("enough");
    await expect(waiting).rejects.toThrow(new CancelledError("enough"));
    expect(await run.update(add, 2)).toBe(2);
    const left = run.update(silent);
    await expect
      .poll(async () => (await run.history()).flatMap(({ deliveries }) => deliveries).length, UNTIL)
      .toBeGreaterThanOrEqual(3);
    await run.signal(next, 0);
    await expect(left).rejects.toMatchObject({ code: "RUN_ENDED" });
    expect(await run.result()).toBe(2);
  });

  test("views yields each value that it has time for, and the last one", async ({ pair }) => {
    const queue = await pair.work([sums, double]);
    const run = workflowRun(queue, queue.submit(sums));
    const views = run.views(count);
    for (const n of [1, 2, 3]) {
      await run.signal(next, n);
      expect(await views.next()).toEqual({ value: n, done: false });
    }
    await run.signal(next, 4);
    await run.signal(next, 0);
    expect(await views.next()).toEqual({ value: 4, done: false });
    expect((await views.next()).done).toBe(true);
    expect(await run.view(count)).toBe(4);
    expect(await run.result()).toBe(0);
  });
});
