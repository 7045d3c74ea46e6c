import { FlowChildFailedError, TaskQueue, call } from "@taskloom/queue";
import { Redis } from "ioredis";
import { describe, expect } from "vitest";
import { faultTest } from "./support/fault-test.ts";
import { failing, marked, parenting } from "./support/tasks.ts";

describe("a flow that Redis loses between the ends of its children", () => {
  const flows = 20;

  faultTest.for([{ returnExceptions: false }, { returnExceptions: true }])(
    "gives its parent what each gave, those before the loss too, with %o",
    { timeout: 60_000 },
    async ({ returnExceptions }, { redis, workers, ledger }) => {
      await using queue = new TaskQueue({ engine: redis.url });
      await workers.start({ concurrency: 50 });
      const other = new Redis(redis.url);
      const sent = Array.from({ length: flows }, (_, n) =>
        queue.flow(
          call(parenting, `parent-${n}`),
          [
            call(marked, `before-${n}`, 0),
            ...(returnExceptions ? [call(failing, `bad-${n}`)] : []),
            // A flow in the flow, whose own parent is lost as well.
            call(parenting, `inner-${n}`).after([call(marked, `after-${n}`, 1_500)]),
          ],
          { returnExceptions },
        ),
      );
      for (const { children } of sent) await Promise.allSettled(children.slice(0, -1));
      await other.flushall();
      other.disconnect();
      for (const [n, flow] of sent.entries()) {
        const before = flow.children[0]?.id;
        const results = await flow;
        expect(results[0]).toBe(`before-${n} of ${before}`);
        if (returnExceptions) expect(results[1]).toBe(`Error: bad-${n} failed`);
        expect(results.at(-1)).toMatch(new RegExp(`^after-${n} of loop\\.\\w+$`));
      }
      const runs = ledger.runs();
      for (let n = 0; n < flows; n++) {
        expect(runs.get(`before-${n}`)).toHaveLength(1); // a job that had ended does not run again
        expect(runs.get(`parent-${n}`)).toHaveLength(1);
      }
    },
  );

  faultTest(
    "fails it for a child that failed before",
    { timeout: 60_000 },
    async ({ redis, workers, ledger }) => {
      await using queue = new TaskQueue({ engine: redis.url });
      const other = new Redis(redis.url);
      const flow = queue.flow(call(parenting, "parent"), [call(failing, "bad"), call(marked, "good", 0)]);
      await flow.sent();
      const threads = queue.engine.openQueue("default.thread");
      await threads.pause();
      await workers.start();
      await expect(flow.children[0]).rejects.toThrow("bad failed");
      await other.flushall();
      other.disconnect();
      const error = await flow.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(FlowChildFailedError);
      expect((error as Error).message).toContain("bad failed");
      expect((error as Error).cause).toMatchObject({ message: "bad failed" });
      expect(ledger.runs().has("parent")).toBe(false);
      await threads.close();
    },
  );

  faultTest("cancels it wherever its jobs are", { timeout: 60_000 }, async ({ redis, workers, ledger }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    await workers.start();
    const other = new Redis(redis.url);
    const flow = queue.flow(call(parenting, "parent"), [call(marked, "long", 600_000)]);
    await expect.poll(() => queue.counts().then(({ active }) => active), { timeout: 20_000 }).toBe(1);
    await other.flushall();
    await expect.poll(() => queue.counts().then(({ active }) => active), { timeout: 20_000 }).toBe(1);
    other.disconnect();
    flow.cancel("no longer");
    await expect(flow).rejects.toThrow("no longer");
    await expect(flow.children[0]).rejects.toThrow("no longer");
    await expect.poll(() => queue.counts(), { timeout: 20_000 }).toMatchObject({ active: 0, waiting: 0 });
    expect(ledger.runs().has("parent")).toBe(false);
  });
});
