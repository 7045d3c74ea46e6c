import { randomUUID } from "node:crypto";
import { Queue } from "@taskloom/loop";
import { describe, expect } from "vitest";
import { MAX_UNREAD } from "../src/contract/run-journal.ts";
import { childTest, endFor } from "./child-lane.ts";
import type { Run } from "./child-lane.ts";
import { unsharded } from "./engines.ts";
import { append } from "./journal-lane.ts";

const PARKED = { epoch: 0, generation: 0, read: 0, until: Number.POSITIVE_INFINITY };
const throws = (): never => {
  throw new Error("no");
};

// In memory, a worker stores each end by itself, and one process does not die between two commands.
const onServers = unsharded.filter(({ name }) => !/memory|processes/.test(name));

describe.each(onServers)("ends with deliveries on $name", ({ name: engineName, test: engineTest }) => {
  const test = childTest(engineTest);

  test("a stored end is in the inbox of the run, and the owner of the run is notified", async ({
    lane,
    children,
  }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    const news = new Queue<string>();
    const stop = journal.onDelivery(lane.workerId, (delivery) => news.putNowait(delivery.id));
    expect(await children.end(endFor(lane, id, 1))).toMatchObject({ state: "completed", isDelivered: true });
    expect(await journal.readInbox(name, id, 0, 10)).toEqual([endFor(lane, id, 1).item]);
    const failed = await children.end(endFor(lane, id, 2), { run: throws });
    expect(failed).toMatchObject({ state: "failed", isDelivered: true });
    expect(await journal.readInbox(name, id, 0, 10)).toEqual([
      endFor(lane, id, 1).item,
      endFor(lane, id, 2).item,
    ]);
    // A subscription of this moment may miss the first delivery.
    await journal.deliver(name, id, ['"x"']);
    expect(await news.get()).toBe(id);
    stop();
    // Jobs without a run have no delivery.
    expect(await children.end(undefined)).toMatchObject({ state: "completed", isDelivered: false });
    end();
  });

  test("deliveries with an equal key are stored once, and so is a later one by a command", async ({
    lane,
    children,
  }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    const delivery = endFor(lane, id, 1);
    await children.add([delivery, delivery]);
    expect(await children.ended.get()).toMatchObject({ isDelivered: true });
    expect(await children.ended.get()).toMatchObject({ isDelivered: true });
    expect(await journal.deliver(name, id, [delivery.item], delivery.key)).toEqual({
      kind: "stored",
      unread: 1,
    });
    expect(await journal.readInbox(name, id, 0, 10)).toEqual([delivery.item]);
    end();
  });

  test("a full inbox, a run that has ended and a run that is gone do not refuse the end", async ({
    lane,
    children,
  }) => {
    const { journal, name } = lane;
    const full = await lane.started();
    const items = Array.from({ length: MAX_UNREAD }, (_, n) => String(n));
    expect(await journal.deliver(name, full.id, items)).toEqual({ kind: "stored", unread: MAX_UNREAD });
    expect(await children.end(endFor(lane, full.id, 1))).toMatchObject({ state: "completed" });
    expect(await journal.head(name, full.id)).toMatchObject({ unread: MAX_UNREAD });
    // The end can still be delivered, under its key, when there is room.
    await journal.append(name, [append(full.id, 0, ['"1"'], { consume: 1 })]);
    expect(await journal.deliver(name, full.id, ["1"], "end:1")).toEqual({
      kind: "stored",
      unread: MAX_UNREAD,
    });
    full.end();
    await expect.poll(() => lane.state(full.id), { timeout: 10_000 }).toBe("completed");
    expect(await children.end(endFor(lane, full.id, 2))).toMatchObject({ state: "completed" });
    expect(await children.end(endFor(lane, "workflow.none", 3))).toMatchObject({ state: "completed" });
    expect(await journal.head(name, "workflow.none")).toBeUndefined();
    expect(children.refused).toEqual([]);
  });

  test("a parked run is promoted, and one before its first start keeps its delay", async ({
    lane,
    children,
  }) => {
    const { journal, name } = lane;
    const first = await lane.started();
    expect(await journal.park(name, first.id, { ...PARKED, token: first.token })).toBe("parked");
    first.leave();
    const later = `workflow.${randomUUID()}`;
    await lane.add(later, 60_000);
    expect(await children.end(endFor(lane, later, 1))).toMatchObject({ isDelivered: true });
    expect(await lane.state(later)).toBe("delayed");
    expect(await lane.state(first.id)).toBe("delayed");
    expect(await children.end(endFor(lane, first.id, 1))).toMatchObject({ isDelivered: true });
    const second = await lane.claim();
    expect(second.id).toBe(first.id);
    expect((await journal.open(name, second.id, second.token))?.inbox).toEqual([
      endFor(lane, second.id, 1).item,
    ]);
    second.end();
  });

  test("an end that is refused is not delivered", async ({ lane, children }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    let runs = 0;
    // The job is put back as if the lock had lapsed, so its first end is refused.
    const run: Run = async (job, token) => {
      if (++runs === 1) await job.moveToWait(token);
      else await expect.poll(() => children.refused.length, { timeout: 10_000 }).toBe(1);
    };
    expect(await children.end(endFor(lane, id, 1), { run })).toMatchObject({ isDelivered: true });
    expect(runs).toBe(2);
    expect(await journal.head(name, id)).toMatchObject({ unread: 1 });
    end();
  });

  test("the end of a job that is removed at once is delivered", async ({ lane, children }) => {
    const { journal, name } = lane;
    const { id, end } = await lane.started();
    const removed = await children.end(endFor(lane, id, 1), { removeOnComplete: { count: 0 } });
    expect(removed).toMatchObject({ isDelivered: true });
    expect(await children.state(removed.id)).toBe("unknown");
    expect(await journal.readInbox(name, id, 0, 10)).toEqual([endFor(lane, id, 1).item]);
    // On PostgreSQL BullMQ's own command removes such a job, and the worker delivers the end behind it.
    const { isDelivered } = await children.end(endFor(lane, id, 2), { removeOnComplete: true });
    expect(isDelivered).toBe(engineName !== "postgres");
    expect(await journal.head(name, id)).toMatchObject({ unread: isDelivered ? 2 : 1 });
    end();
  });

  test("a turn delivers the ends of many jobs to many runs, and each run has them in their order", async ({
    lane,
    children,
  }) => {
    const { journal, name } = lane;
    const runs = await Promise.all(Array.from({ length: 10 }, () => lane.started()));
    const deliveries = Array.from({ length: 300 }, (_, n) =>
      n % 3 === 0 ? undefined : endFor(lane, runs[n % 10]!.id, n),
    );
    const started = Promise.withResolvers<void>();
    let count = 0;
    await children.add(deliveries, {
      run: async () => {
        if (++count === deliveries.length) started.resolve();
        await started.promise;
      },
    });
    for (let n = 0; n < deliveries.length; n++) await children.ended.get();
    for (const [at, { id, end }] of runs.entries()) {
      const own = deliveries.filter((_, n) => n % 3 !== 0 && n % 10 === at);
      expect(await journal.readInbox(name, id, 0, 500)).toEqual(own.map((delivery) => delivery!.item));
      end();
    }
    expect(children.refused).toEqual([]);
  });
});
