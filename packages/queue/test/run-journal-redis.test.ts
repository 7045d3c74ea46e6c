import { createHash } from "node:crypto";
import { Redis } from "ioredis";
import { expect, test as plainTest } from "vitest";
import { redisClusterTest } from "../../../test/support/redis-cluster.ts";
import { redisTest } from "../../../test/support/redis.ts";
import { bullText } from "../src/engines/redis/driver/bullmq-texts.ts";
import type { CalledScript } from "../src/engines/redis/driver/bullmq-texts.ts";
import { RedisJournal, journalScripts } from "../src/engines/redis/journal/redis-journal.ts";
import { RepeatingScripts } from "../src/engines/redis/repeating-scripts.ts";
import { childTest, endFor } from "./child-lane.ts";
import { JournalLane, append, laneTest } from "./journal-lane.ts";

const NEVER = Number.POSITIVE_INFINITY;

const engineTest = redisTest.extend<{ engine: string }>({
  engine: async ({ redis }, use) => await use(redis.url),
});
const endTest = childTest(engineTest);
const test = laneTest(engineTest).extend<{ observer: Redis }>({
  observer: async ({ engine }, use) => {
    const observer = new Redis(engine);
    await use(observer);
    observer.disconnect();
  },
});

plainTest("the scripts of BullMQ that the journal calls are the known ones", () => {
  // If this fails, compare the keys and the values of BullMQ's script with those of the journal's scripts.
  const hash = (name: CalledScript): string => createHash("sha1").update(bullText(name)).digest("hex");
  expect([hash("moveToDelayed"), hash("promote")]).toEqual([
    "9f83944d6edafd63c74121d73299dd3358ddfe0c",
    "1d740f19fe984343737df70206877be7cbab6913",
  ]);
});

test("an append call is one script, and 128 runs share it", async ({ lane, observer }) => {
  const connection = new RepeatingScripts(observer, journalScripts);
  const names: string[] = [];
  const journal = new RedisJournal({
    prefix: "taskloom",
    scripts: {
      run: (script, keys, values) => {
        names.push(script);
        return connection.run(script, keys, values);
      },
    },
    scan: async () => ["0", []],
    listen: () => () => {},
    channel: "",
    now: () => Date.now(),
  });
  const claims = await Promise.all(Array.from({ length: 300 }, () => lane.started()));
  await journal.append(lane.name, [append(claims[0]!.id, 0, ['"1"'])]);
  expect(names).toEqual(["taskloomRunAppend"]);
  const all = claims.slice(1).map(({ id }) => append(id, 0, ['"1"', '"2"']));
  expect((await journal.append(lane.name, all)).every(({ kind }) => kind === "ok")).toBe(true);
  expect(names).toHaveLength(1 + Math.ceil(299 / 128));
  for (const { end } of claims) end();
});

endTest(
  "a delivery that fails leaves the end, and the deliveries beside it",
  async ({ engine, lane, children }) => {
    const { journal, name } = lane;
    const broken = await lane.started();
    const whole = await lane.started();
    const observer = new Redis(engine);
    await observer.set(`taskloom:${name}:${broken.id}:tl-in`, "no list");
    const both = Promise.withResolvers<void>();
    let count = 0;
    await children.add([endFor(lane, broken.id, 1), endFor(lane, whole.id, 2)], {
      run: async () => {
        if (++count === 2) both.resolve();
        await both.promise;
      },
    });
    const ends = [await children.ended.get(), await children.ended.get()];
    expect(ends.map(({ state }) => state)).toEqual(["completed", "completed"]);
    expect(ends.map(({ isDelivered }) => isDelivered)).toEqual([false, true]);
    expect(await journal.readInbox(name, whole.id, 0, 5)).toEqual([endFor(lane, whole.id, 2).item]);
    expect(children.refused).toEqual([]);
    await observer.del(`taskloom:${name}:${broken.id}:tl-in`);
    observer.disconnect();
    broken.end();
    whole.end();
  },
);

test("the journal goes on after the server has dropped all scripts", async ({ lane, observer }) => {
  const { journal, name } = lane;
  const { id, token, leave } = await lane.started();
  await journal.append(name, [append(id, 0, ['"1"'])]);
  await observer.script("FLUSH");
  const both = await Promise.all([
    journal.append(name, [append(id, 1, ['"2"'])]),
    journal.append(name, [append(id, 2, ['"3"'])]),
  ]);
  expect(both.flat()).toMatchObject([{ kind: "ok" }, { kind: "ok" }]);
  await observer.script("FLUSH");
  expect(await journal.deliver(name, id, ['"x"'])).toMatchObject({ kind: "stored" });
  await observer.script("FLUSH");
  expect(await journal.park(name, id, { token, epoch: 0, generation: 0, read: 1, until: NEVER })).toBe(
    "parked",
  );
  leave();
});

test("a server that lost its last entries receives them again from the owner", async ({ lane, observer }) => {
  const { journal, name } = lane;
  const { id, token, end } = await lane.started();
  await journal.open(name, id, token);
  const log = ['"1"', '"2"', '"3"', '"4"'];
  await journal.append(name, [append(id, 0, log, { epoch: 1 })]);
  await observer.rpop(`taskloom:${name}:${id}:tl-log`, 2);
  await observer.hset(`taskloom:${name}:${id}:tl-run`, "e", 0, "o", "");
  const next = append(id, 4, ['"5"'], { epoch: 1 });
  const [answer] = await journal.append(name, [next]);
  expect(answer).toMatchObject({ kind: "short", length: 2, last: '"2"' });
  const rest = { ...next, at: 2, entries: [...log.slice(2), '"5"'] };
  expect(await journal.append(name, [rest])).toMatchObject([{ kind: "ok" }]);
  expect(await journal.head(name, id)).toMatchObject({ epoch: 1, length: 5, deaths: 0 });
  end();
});

test("BullMQ's own queue sees a parked run as a delayed job, and promotes it", async ({ lane }) => {
  const { journal, name, engine } = lane;
  const { id, token, leave } = await lane.started();
  await journal.park(name, id, { token, epoch: 0, generation: 0, read: 0, until: engine.now() + 86_400_000 });
  leave();
  const queue = engine.openQueue(name);
  expect(await queue.getJobCounts("active", "delayed", "wait")).toEqual({ active: 0, delayed: 1, wait: 0 });
  const [job] = await queue.getDelayed();
  expect(await job!.getState()).toBe("delayed");
  expect(job).toMatchObject({ id, attemptsMade: 0, attemptsStarted: 1 });
  await job!.promote();
  const again = await lane.claim();
  expect(again.id).toBe(id);
  again.end();
  await queue.close();
});

test("a sweep removes the journals of jobs that BullMQ's queue has removed", async ({ lane, observer }) => {
  const { journal, name, engine } = lane;
  const { id, token, leave } = await lane.started();
  await journal.append(name, [append(id, 0, ['"1"'])]);
  await journal.deliver(name, id, ['"x"'], "key");
  await journal.park(name, id, { token, epoch: 0, generation: 0, read: 1, until: NEVER });
  leave();
  const own = async (): Promise<string[]> =>
    (await observer.keys(`taskloom:${name}:*`)).filter((key) => key.includes("tl-"));
  expect((await own()).length).toBe(6);
  const queue = engine.openQueue(name);
  await queue.remove(id);
  await journal.sweep(name);
  expect(await own()).toEqual([]);
  await queue.close();
});

test("a parked run takes 1.5 KB at most", async ({ lane, observer }) => {
  const { journal, name } = lane;
  const { id, token, leave } = await lane.started();
  await journal.append(name, [append(id, 0, ['[1,[],[[1,"s","order.charge",1,"h:9f3a77aa00112233"]]]'])]);
  await journal.park(name, id, { token, epoch: 0, generation: 0, read: 0, until: NEVER });
  leave();
  let bytes = 0;
  for (const key of await observer.keys(`taskloom:${name}:${id}*`))
    bytes += Number(await observer.memory("USAGE", key));
  expect(bytes).toBeLessThan(1_500);
});

redisClusterTest("all keys of a run are on one node of a cluster", async ({ cluster }) => {
  const lane = new JournalLane(cluster.url);
  await lane.start();
  const { journal, name } = lane;
  const claims = await Promise.all(Array.from({ length: 20 }, () => lane.started()));
  await journal.append(
    name,
    claims.map(({ id }) => append(id, 0, ['"1"'])),
  );
  for (const { id, token, leave } of claims) {
    await journal.open(name, id, token);
    await journal.deliver(name, id, ['"x"'], "key");
    const parked = await journal.park(name, id, { token, epoch: 1, generation: 0, read: 1, until: NEVER });
    expect(parked).toBe("parked");
    leave();
  }
  const keys = await Promise.all(
    cluster.nodes.map(async (url) => {
      const node = new Redis(url);
      const found = await node.keys("*tl-*");
      node.disconnect();
      return found;
    }),
  );
  expect(keys.filter((found) => found.length > 0)).toHaveLength(1);
  expect(keys.flat().every((key) => key.startsWith(`{taskloom}:${name}:`))).toBe(true);
  expect(keys.flat().length).toBe(20 * 4 + 2);
  await lane.close();
});
