import { currentJob, defineTask } from "@taskloom/queue";
import { LaneQueues, logPage } from "@taskloom/queue/operating";
import { describe, expect } from "vitest";
import { stores } from "./engines.ts";
import { pairTest } from "./pair.ts";

const talks = defineTask({ name: "test.talks" }, async (lines: number, long: number) => {
  for (let line = 0; line < lines; line++) void currentJob()?.log(`line ${line}`);
  void currentJob()?.log("x".repeat(long));
});

describe.each(stores)("on $name", ({ test: engineTest }) => {
  const test = pairTest(engineTest);

  test("a long log is read in pages, whole and in order, and a long line is cut", async ({ pair }) => {
    const queue = await pair.work([talks]);
    const job = queue.submit(talks, 230, 100_000);
    await job;
    const lines = await job.logs();
    expect(lines.slice(0, -1)).toEqual(Array.from({ length: 230 }, (_, line) => `line ${line}`));
    expect(lines.at(-1)).toBe(`${"x".repeat(65_536)}… (cut: 100000 characters)`);
    const queues = new LaneQueues(queue.engine, queue.name);
    expect(await logPage(queues.lane("loop"), job.id, 0)).toEqual(lines);
    expect(await logPage(queues.lane("loop"), job.id, 228)).toEqual(lines.slice(228));
    expect(await logPage(queues.lane("loop"), job.id, 231)).toEqual([]);
    await queues.close();
  });

  test("a page of large lines ends at about 1 MiB, and the next goes on", async ({ pair }) => {
    const logs = defineTask({ name: "test.logs" }, async () => {
      for (let line = 0; line < 210; line++) void currentJob()?.log(String(line).padEnd(12_000, "x"));
    });
    const queue = await pair.work([logs]);
    const job = queue.submit(logs);
    await job;
    const queues = new LaneQueues(queue.engine, queue.name);
    const first = await logPage(queues.lane("loop"), job.id, 0);
    expect(first).toHaveLength(100);
    const rest = await logPage(queues.lane("loop"), job.id, first.length);
    expect([...first, ...rest].map((line) => Number.parseInt(line, 10))).toEqual([
      ...Array.from({ length: 200 }).keys(),
    ]);
    await queues.close();
  });

  test("many schedules are listed, each once", async ({ pair }) => {
    const { queue } = pair;
    const ids = Array.from({ length: 120 }, (_, n) => `schedule-${n}`);
    await Promise.all(ids.map((id) => queue.schedule(id, { every: 3_600_000 }, talks, 1, 1)));
    const found = await queue.schedules();
    expect(found.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    for (const schedule of found) await schedule.remove();
  });
});
