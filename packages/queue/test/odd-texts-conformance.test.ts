import { CancelledError, Event } from "@taskloom/loop";
import { FlowChildFailedError, TaskOptionsError, call, defineTask } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { cancelsItself, failsAs, kinds, onLoop, onThread } from "./fixtures/odd-texts.ts";
import { pairTest } from "./pair.ts";

/** PostgreSQL stores neither of the two as it is, and visible text in their place. */
const texts: readonly (readonly [string, string])[] = [
  ["a\0b", "a\u2400b"],
  ["a\ud800b", "a\ufffdb"],
];

const waits = defineTask({ name: "test.waits" }, async (): Promise<void> => {
  await new Promise<void>(() => {});
});
const parent = defineTask({ name: "test.text-parent" }, async (): Promise<void> => {});

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("a job ends whatever text its result, its error, its progress and its log hold, in both lanes", async ({
    pair,
  }) => {
    const queue = await pair.work([onLoop, onThread]);
    for (const [text, visible] of texts) {
      for (const kind of kinds) {
        for (const task of [onLoop, onThread]) {
          const label = `${kind} of ${task.task.name}`;
          const job = queue.submit(task, kind, text);
          const [outcome] = await Promise.allSettled([job]);
          expect(await job.logs(), label).toEqual([visible]);
          if (kind === "a value") {
            const value = { [text]: [text, new Map([[text, text]])] };
            expect(outcome, label).toEqual({ status: "fulfilled", value });
          } else {
            expect(outcome.status, label).toBe("rejected");
          }
          if (kind === "a message") expect((outcome as PromiseRejectedResult).reason.message).toBe(text);
        }
      }
    }
    const groups = await queue.failed();
    const count = groups.reduce((sum, group) => sum + group.count, 0);
    expect(count).toBe(2 * 2 * (kinds.length - 1));
  });

  test("a cancel is stored whatever its reason holds", async ({ pair }) => {
    for (const [text, visible] of texts) {
      const waiting = pair.queue.submit(waits);
      await waiting.sent();
      const again = pair.queue.attach(waiting.id);
      waiting.cancel(text);
      await expect(waiting).rejects.toThrow(CancelledError);
      await expect(again).rejects.toThrow(visible);
    }
    const queue = await pair.work([cancelsItself]);
    for (const [text, visible] of texts) {
      const job = queue.submit(cancelsItself, text);
      await expect(job).rejects.toThrow(visible);
      await expect(job).rejects.toThrow(CancelledError);
    }
  });

  test("a running job is cancelled whatever the reason holds", async ({ pair }) => {
    const started = new Event();
    const runs = defineTask({ name: "test.runs" }, async () => {
      started.set();
      await new Event().wait();
    });
    const queue = await pair.work([runs]);
    const job = queue.submit(runs);
    await started.wait();
    job.cancel("a\0b");
    await expect(job).rejects.toThrow(CancelledError);
  });

  test("a flow's parent fails whatever text its child failed with", async ({ pair }) => {
    const queue = await pair.work([failsAs, parent]);
    for (const [text] of texts) {
      const flow = queue.flow(call(parent), [call(failsAs, text, text)]);
      await expect(flow).rejects.toThrow(FlowChildFailedError);
    }
  });

  test("an error whose name or message means something to BullMQ fails its job like any other", async ({
    pair,
  }) => {
    const queue = await pair.work([failsAs]);
    for (const name of ["WaitingError", "DelayedError", "WaitingChildrenError", "RateLimitError"]) {
      await expect(queue.submit(failsAs, name, "odd")).rejects.toMatchObject({ name, message: "odd" });
    }
    const message = "bullmq:rateLimitExceeded";
    await expect(queue.submit(failsAs, "Error", message)).rejects.toMatchObject({ message });
  });

  test("a key that no store keeps is refused", async ({ pair }) => {
    for (const [key] of texts) {
      expect(() => pair.queue.with({ deduplicate: { key } })).toThrow(TaskOptionsError);
    }
  });
});
