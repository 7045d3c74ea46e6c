import { call } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import { trace } from "@opentelemetry/api";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import * as fixtures from "./fixtures/surroundings.ts";
import { pairTest } from "./pair.ts";

type Looking = TaskDefinition<[], fixtures.Seen | Promise<fixtures.Seen>>;
type Telling = TaskDefinition<[], fixtures.Known | Promise<fixtures.Known>>;

const looking: [string, Looking][] = [
  ["the loop", fixtures.lookOnLoop],
  ["a thread", fixtures.lookOnThread],
];
const telling: [string, Telling][] = [
  ["a task of the loop", fixtures.tellOnLoop],
  ["a function on a thread", fixtures.tellOnThread],
  ["an async function on a thread", fixtures.tellOnThreadLater],
];

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  describe.each(telling)("%s", (_kind, task) => {
    test("knows its job: id, attempt, deadline; and its lines are there when it has ended", async ({
      pair,
    }) => {
      const queue = await pair.work([fixtures]);
      const before = Date.now();
      const job = queue.with({ deadline: 600_000 }).submit(task);
      const known = await job;
      expect(known).toMatchObject({ id: job.id, attempt: 2, children: [] });
      expect(known.deadline).toBeGreaterThan(before + 590_000);
      expect(known.deadline).toBeLessThan(before + 660_000);
      const lines = [1, 2].flatMap((attempt) => [1, 2, 3].map((line) => `attempt ${attempt}, line ${line}`));
      expect(await job.logs()).toEqual(lines);
    });

    test("finds the results of a flow's children, with what structured clone would lose", async ({
      pair,
    }) => {
      const queue = await pair.work([fixtures]);
      const flow = queue.flow(call(task), [call(fixtures.bytes), call(fixtures.broken)], {
        returnExceptions: true,
      });
      const { children } = await flow;
      expect(children[0]).toEqual(Buffer.from("a child's"));
      expect(children[1]).toMatchObject({ name: "RangeError", code: "E_RANGE", message: "out of range" });
    });

    test("runs as nobody's job when it is called", async () => {
      expect(await task()).toEqual({ id: undefined, attempt: undefined, deadline: undefined, children: [] });
    });
  });

  describe.each(looking)("what surrounds a submission reaches a job on %s:", (_lane, task) => {
    test("values of propagated stores", async ({ pair }) => {
      const queue = await pair.work([fixtures]);
      const ada = { name: "Ada", since: new Date(0) };
      const inside = fixtures.tenant.run(ada, () => queue.submit(task));
      const outside = queue.submit(task);
      expect((await inside).tenant).toEqual(ada);
      expect((await outside).tenant).toBeUndefined();
    });

    test("the trace context", async ({ pair }) => {
      const queue = await pair.work([fixtures]);
      await fixtures.tracer.startActiveSpan("submitter", async (span) => {
        const { traceId, spanId } = span.spanContext();
        expect(await queue.submit(task)).toMatchObject({ traceId, spanId });
        const mapped = await queue.map(task, [[], []]).toArray();
        expect(mapped.map((each) => each.traceId)).toEqual([traceId, traceId]);
        span.end();
      });
      expect(trace.getActiveSpan()).toBeUndefined();
      expect((await queue.submit(task)).traceId).toBeUndefined();
    });
  });
});
