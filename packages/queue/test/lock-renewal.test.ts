import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import { Redis } from "ioredis";
import { afterEach, expect, test, vi } from "vitest";
import { redisTest } from "../../../test/support/redis.ts";
import { connectToRenew } from "../src/engines/redis/renewal-connection.ts";
import { LaneLocks } from "../src/locks/lane-locks.ts";
import { LockTable } from "../src/locks/lock-table.ts";

afterEach(() => void vi.useRealTimers());

/** The locks of a lane whose thread has that many slots, and the ids that the loop has renewed, round by round. */
function openLocks(slots: number): { locks: LaneLocks; thread: { renews: boolean }; rounds: string[][] } {
  const rounds: string[][] = [];
  const lane = {
    name: "renewed.loop",
    lockDuration: 8_000,
    extend: async (ids: string[]): Promise<string[]> => {
      rounds.push(ids);
      return [];
    },
    onLost: () => {},
  };
  const thread = { renews: false, interval: 500, begin: () => {} };
  return {
    locks: new LaneLocks(lane, { queue: 0, table: LockTable.withSlots(slots), thread }),
    thread,
    rounds,
  };
}

test("the loop renews as often as the thread until the thread renews", async () => {
  vi.useFakeTimers();
  const { locks, thread, rounds } = openLocks(2);
  locks.hold("first", "token", "task");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(rounds).toEqual([["first"], ["first"]]);
  thread.renews = true;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(rounds).toHaveLength(2);
  locks.close();
});

test("the loop renews a lock for which the thread's table has no room", async () => {
  vi.useFakeTimers();
  const { locks, thread, rounds } = openLocks(1);
  thread.renews = true;
  locks.hold("in the table", "token", "task");
  const other = locks.hold("beside it", "token", "task");
  await vi.advanceTimersByTimeAsync(500);
  expect(rounds).toEqual([["beside it"]]);
  locks.release(other);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(rounds).toHaveLength(1);
  locks.close();
});

test("lanes without a held lock have no timer", async () => {
  vi.useFakeTimers();
  const { locks } = openLocks(1);
  expect(vi.getTimerCount()).toBe(0);
  locks.release(locks.hold("quick", "token", "task"));
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(500);
  expect(vi.getTimerCount()).toBe(0);
});

redisTest(
  "the thread has room for every lock, since the jobs of a claim take theirs before the ended jobs of its turn leave theirs",
  async ({ redis }) => {
    const put = vi.spyOn(LockTable.prototype, "put");
    const task = defineTask({ name: "test.renewed" }, async () => {});
    await using queue = new TaskQueue({ engine: redis.url, name: "renewed" });
    const worker = new TaskWorker({
      engine: redis.url,
      queues: ["renewed"],
      tasks: [task],
      concurrency: 5,
      threads: 1,
    });
    const running = worker.run();
    await Promise.all(Array.from({ length: 60 }, () => queue.submit(task)));
    running.cancel();
    await running.catch(() => {});
    const slots = put.mock.results.map(({ value }) => value);
    put.mockRestore();
    expect(slots).toHaveLength(60);
    expect(slots).not.toContain(undefined);
  },
);

redisTest(
  "the thread's script renews a lock as BullMQ's does, and names those that are lost",
  async ({ redis }) => {
    const client = new Redis(redis.url);
    const keys = "taskloom:renewed:";
    await client.set(`${keys}held:lock`, "mine", "PX", 1_000);
    await client.set(`${keys}taken:lock`, "other", "PX", 1_000);
    await client.sadd(`${keys}stalled`, "held", "taken", "gone");
    const [locks] = connectToRenew({ url: redis.url, prefix: "taskloom" }, ["renewed"], 1_000);
    expect(await locks!.extend(["held", "taken", "gone"], ["mine", "mine", "mine"], 60_000)).toEqual([
      "taken",
      "gone",
    ]);
    expect(await client.pttl(`${keys}held:lock`)).toBeGreaterThan(50_000);
    expect(await client.pttl(`${keys}taken:lock`)).toBeLessThanOrEqual(1_000);
    expect((await client.smembers(`${keys}stalled`)).toSorted()).toEqual(["gone", "taken"]);
    expect(await locks!.extend([], [], 1_000)).toEqual([]);
    client.disconnect();
  },
);
