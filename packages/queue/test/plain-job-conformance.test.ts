import { currentJob, defineTask } from "@taskloom/queue";
import type { Job, Queue } from "bullmq";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

const echo = defineTask({ name: "test.echo" }, async (value: unknown) => value);
const dated = defineTask({ name: "test.dated", version: 3 }, async () => ({
  at: new Date(0),
  none: undefined,
}));
const stumbles = defineTask({ name: "test.stumbles" }, async (): Promise<string> => {
  if (currentJob()?.attempt === 1) throw new RangeError("the first attempt stumbles");
  return "the second attempt";
});
const other = defineTask({ name: "test.other" }, async () => "other");

/** The engine in memory has no BullMQ beside it. */
const withBullMQ = stores.filter(({ name }) => name !== "memory");

/** Resolves with a job when it has ended. */
async function ended(bull: Queue, id: string | undefined): Promise<Job> {
  await expect
    .poll(async () => (await bull.getJobState(id!)).match(/completed|failed/)?.[0], { timeout: 20_000 })
    .toBeDefined();
  return (await bull.getJob(id!))!;
}

describe.each(withBullMQ)("a job of BullMQ's own client on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("runs with its data as the argument, and its result is stored as plain JSON", async ({ pair }) => {
    const { queue } = pair;
    const started: unknown[] = [];
    await pair.work([echo, dated], { onStart: ({ args }) => started.push(args) });
    const bull = queue.engine.openQueue(`${queue.name}.loop`);
    const values = [
      { to: "x" },
      // Fields of a submission have no meaning here.
      { args: [1], deadline: 1, pack: true, reply: "nobody", timeout: 1, flow: { children: ["x"] } },
      { v: "the value of another program" },
      [1, 2],
      "text",
      7,
    ];
    for (const value of values) {
      const { id } = await bull.add("test.echo", value);
      expect(await ended(bull, id)).toMatchObject({ returnvalue: value, attemptsMade: 1 });
    }
    const { id } = await bull.add("test.dated", {});
    expect((await ended(bull, id)).returnvalue).toEqual({ at: "1970-01-01T00:00:00.000Z" });
    expect(started).toEqual([...values.map((value) => [value]), [{}]]);
    expect(await queue.submit(echo, "a submission beside them")).toBe("a submission beside them");
    await bull.close();
  });

  test("is retried and fails by BullMQ's rules", async ({ pair }) => {
    const { queue } = pair;
    await pair.work([stumbles]);
    const bull = queue.engine.openQueue(`${queue.name}.loop`);
    const [twice, once] = [
      await bull.add("test.stumbles", {}, { attempts: 2 }),
      await bull.add("test.stumbles", {}),
    ];
    expect(await ended(bull, twice.id)).toMatchObject({ returnvalue: "the second attempt", attemptsMade: 2 });
    expect(await ended(bull, once.id)).toMatchObject({
      failedReason: "the first attempt stumbles",
      attemptsMade: 1,
    });
    await bull.close();
  });

  test("is put back by a worker without its task, and reported without a version", async ({ pair }) => {
    const { queue } = pair;
    const unknown: unknown[] = [];
    await pair.work([other], { onUnknown: (job) => unknown.push(job) });
    const bull = queue.engine.openQueue(`${queue.name}.loop`);
    const { id } = await bull.add("test.echo", "waits");
    await expect
      .poll(() => unknown, { timeout: 20_000 })
      .toEqual([{ id, name: "test.echo", version: undefined }]);
    await pair.work([echo]);
    expect((await ended(bull, id)).returnvalue).toBe("waits");
    await bull.close();
  });
});
