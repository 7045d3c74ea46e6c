import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { ownRedisTest } from "../../../test/support/redis.ts";
import type { ClaimTerms, ClaimedRecord, RunEnd } from "../src/contract/lane-driver.ts";
import type { NewJob } from "../src/contract/lane-queue.ts";
import { RedisDriver, driverScripts } from "../src/engines/redis/driver/redis-driver.ts";
import { unrepeating } from "../src/engines/redis/redis-client.ts";
import { UnrepeatedConnection } from "../src/engines/redis/unrepeated-connection.ts";

interface Lane extends AsyncDisposable {
  readonly client: Redis;
  readonly queue: Queue;
  readonly driver: RedisDriver;
}

async function openLane(url: string): Promise<Lane> {
  const client = new Redis(url, { maxRetriesPerRequest: null });
  const queue = new Queue("lane", { connection: client, prefix: "driver", skipMetasUpdate: true });
  await queue.waitUntilReady();
  const connection = new UnrepeatedConnection(() => unrepeating(client), driverScripts, 3);
  const driver = new RedisDriver(queue, { connection });
  const close = async (): Promise<void> => {
    connection.close();
    await queue.close();
    client.disconnect();
  };
  return { client, queue, driver, [Symbol.asyncDispose]: close };
}

const jobs = (count: number): NewJob[] =>
  Array.from({ length: count }, (_, n) => ({
    name: "job",
    data: { v: 1, version: 1, args: [n] },
    opts: { jobId: `job-${n}` },
  }));
const claim = (count: number): ClaimTerms => ({
  count,
  token: "t",
  lockDuration: 60_000,
  workerName: undefined,
});
const endOf = ({ id }: Pick<ClaimedRecord, "id">): RunEnd => ({
  id,
  token: "t",
  outcome: "completed",
  text: "1",
  stacktrace: undefined,
  finishedOn: Date.now(),
  keep: { age: 60 },
  opts: {},
});

ownRedisTest("a turn of many ends is split, and each refusal has the place of its end", async ({ redis }) => {
  await using lane = await openLane(redis.url);
  const { driver, queue } = lane;
  expect(await driver.add(jobs(200))).toEqual(jobs(200).map(({ opts }) => opts.jobId));
  const { jobs: claimed } = await driver.turn([], claim(150));
  expect(claimed).toHaveLength(150);
  expect(claimed[0]).toMatchObject({
    id: "job-0",
    record: { name: "job", attemptsStarted: 1, opts: { jobId: "job-0" } },
  });
  const ends = claimed.map(endOf);
  const answer = await driver.turn([...ends, ends[3]!, endOf({ id: "ghost" })], claim(100));
  expect(answer.refusals.flatMap((each, at) => (each === undefined ? [] : [[at, each.message]]))).toEqual([
    [150, "Missing lock for job job-3. moveToFinished"],
    [151, "Missing key for job ghost. moveToFinished"],
  ]);
  expect(answer.jobs).toHaveLength(50);
  expect(await queue.getJobCounts("completed", "active")).toEqual({ completed: 150, active: 50 });
});

ownRedisTest("a claim of many jobs takes several scripts", async ({ redis }) => {
  await using lane = await openLane(redis.url);
  await lane.driver.add(jobs(600));
  const ids = (answer: { readonly jobs: readonly ClaimedRecord[] }): string[] =>
    answer.jobs.map(({ id }) => id);
  expect(ids(await lane.driver.turn([], claim(520)))).toEqual(
    Array.from({ length: 520 }, (_, n) => `job-${n}`),
  );
  expect(ids(await lane.driver.turn([], claim(520)))).toHaveLength(80);
});

ownRedisTest("a script that the server has forgotten is sent again", async ({ redis }) => {
  await using lane = await openLane(redis.url);
  await lane.driver.add(jobs(2));
  await lane.driver.turn([], claim(1));
  await lane.client.script("FLUSH");
  await lane.driver.add(jobs(3));
  expect((await lane.driver.turn([], claim(5))).jobs).toHaveLength(2);
});

ownRedisTest("an error of the claim does not hide the ends that are stored", async ({ redis }) => {
  await using lane = await openLane(redis.url);
  const { client, driver, queue } = lane;
  await driver.add(jobs(2));
  const { jobs: claimed } = await driver.turn([], claim(2));
  await client.set(queue.toKey("delayed"), "not a sorted set");
  const answer = await driver.turn([endOf(claimed[0]!)], claim(1));
  expect(answer).toMatchObject({
    refusals: [undefined],
    jobs: [],
    claimFailure: { message: expect.stringMatching("WRONGTYPE") },
  });
  await expect(driver.turn([], claim(1))).rejects.toThrow("WRONGTYPE");
  await client.set(`${queue.toKey("job-1")}:lock`, "t");
  await client.del(queue.toKey("job-1"));
  await client.set(queue.toKey("job-1"), "not a hash");
  const [refusal] = (
    await driver
      .turn([endOf(claimed[1]!), endOf({ id: "job-0" })], undefined)
      .catch((error) => ({ refusals: [error] }))
  ).refusals;
  expect(refusal?.message).toContain("WRONGTYPE");
});

ownRedisTest("a turn whose connection is cut fails, and is not repeated", async ({ redis }) => {
  await using lane = await openLane(redis.url);
  const { client, driver, queue } = lane;
  await driver.add(jobs(3));
  await driver.turn([], claim(1));
  const own = await client.client("ID");
  await client.client("PAUSE", 10_000, "WRITE");
  const cut = driver.turn([], claim(1)).catch((error: unknown) => error);
  await expect.poll(async () => String(await client.client("LIST")).includes("cmd=evalsha")).toBe(true);
  for (const [, id] of String(await client.client("LIST")).matchAll(/^id=(\d+)/gm))
    if (Number(id) !== own) await client.client("KILL", "ID", id!);
  await client.client("UNPAUSE");
  expect(await cut).toMatchObject({ code: "CONNECTION_CUT" });
  expect((await driver.turn([], claim(1))).jobs.map(({ id }) => id)).toEqual(["job-1"]);
  expect(await queue.getActiveCount()).toBe(2);
});

ownRedisTest("a job that BullMQ refuses has its error in its place", async ({ redis }) => {
  await using lane = await openLane(redis.url);
  const added = await lane.driver.add([
    ...jobs(1),
    { name: "job", data: { v: 1, version: 1, args: [] }, opts: { jobId: "12" } },
    {
      name: "job",
      data: { v: 1, version: 1, args: [] },
      opts: { parent: { id: "none", queue: "driver:lane" } },
    },
    { name: "job", data: { v: 1, version: 1, args: [] }, opts: {} },
  ]);
  expect(added.map((each) => (each instanceof Error ? each.message : each))).toEqual([
    "job-0",
    "Custom Id cannot be integers",
    "Missing key for parent job driver:lane:none. addJob",
    "2",
  ]);
});
