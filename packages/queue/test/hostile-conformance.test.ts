import { TaskQueue, defineTask, openEngine } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

const echo = defineTask({ name: "test.echo", attempts: 3 }, async (...values: unknown[]) => values);

/** What somebody who can write to the engine could put there in place of a submission. */
const good = { v: 1, version: 1, args: [1] };
const malformed: Record<string, unknown> = {
  "arguments that are no list": { ...good, args: "1" },
  "no arguments": { v: 1, version: 1 },
  "arguments of an unknown kind": { ...good, args: [{ $taskloom: "no such kind" }] },
  "arguments that refer to nothing": { ...good, args: [{ $taskloom: "ref", to: 99 }] },
  "a context of an unknown kind": { ...good, context: { $taskloom: "no such kind" } },
  "a pack of no lists": { ...good, pack: true, args: [1, "two", null] },
  "a flow of nothing": { ...good, flow: {} },
  "a flow with children that are no ids": { ...good, flow: { queue: 1, children: [null, {}] } },
  "a flow whose outcomes are none": { ...good, flow: { queue: "q", children: ["loop.a"], outcomes: [5] } },
  "a flow with fewer outcomes than children": {
    ...good,
    flow: { queue: "q", children: ["loop.a"], outcomes: [] },
  },
};
/** Odd, and all the same a call that can be made. */
const odd: Record<string, unknown> = {
  "a context that is none": { ...good, context: 5 },
  "a reply address that is none": { ...good, reply: { to: "nobody" } },
  "a reply address of somebody else's": { ...good, reply: "../../other key" },
  "keys that name a prototype": JSON.parse(
    '{"v":1,"version":1,"args":[{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}]}',
  ),
};

/** Only through BullMQ can anybody write past the client; there is no way to do that in memory. */
const withBullMQ = stores.filter(({ name }) => name !== "memory");

describe.each(withBullMQ)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("a hostile payload ends as a failure of its job alone", async ({ pair }) => {
    const warnings: unknown[] = [];
    const warn = (error: unknown): void => void warnings.push(error);
    process.on("uncaughtException", warn).on("unhandledRejection", warn);
    const engine = openEngine(pair.engine);
    await engine.connect();
    const bull = engine.openQueue(`${pair.queue.name}.loop`);
    const all = { ...malformed, ...odd };
    const ids = Object.fromEntries(Object.keys(all).map((kind, index) => [kind, `loop.hostile-${index}`]));
    for (const [kind, data] of Object.entries(all))
      await bull.add("test.echo", data, { jobId: ids[kind]!, attempts: 3 });
    const queue = await pair.work([echo], { onStart: () => {} });
    await using watcher = new TaskQueue({ engine, name: queue.name });
    const outcomes: Record<string, string> = {};
    for (const [kind, id] of Object.entries(ids)) {
      outcomes[kind] = await watcher.attach(id).then(
        () => "completed",
        () => "failed",
      );
    }
    expect(outcomes).toEqual({
      ...Object.fromEntries(Object.keys(malformed).map((kind) => [kind, "failed"])),
      ...Object.fromEntries(Object.keys(odd).map((kind) => [kind, "completed"])),
    });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
    expect(await queue.submit(echo, "the worker lives")).toEqual(["the worker lives"]);
    expect(warnings).toEqual([]);
    process.off("uncaughtException", warn).off("unhandledRejection", warn);
    await bull.close();
    await engine.close();
  });
});
