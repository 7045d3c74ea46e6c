import { call, defineTask } from "@taskloom/queue";
import pg from "pg";
import { expect } from "vitest";
import { postgresTest, testPool } from "../../../../test/support/postgres.ts";
import { claimLane, removeLapsedClaims } from "../../src/engines/postgres/lane-claims.ts";
import { removeExpired } from "../../src/engines/postgres/retention.ts";
import { postgresBackend } from "../../src/engines/postgres/postgres-backend.ts";
import { laneQueueName } from "../../src/contract/lane.ts";
import { Pair } from "../pair.ts";

/**
 * Statements that take the locks of many rows wait for none of them, so they are no part of a deadlock. Each test has
 * another session hold a row, and asks for what would wait for it; `lock_timeout` fails a statement that does.
 */
const test = postgresTest.extend<{ pair: Pair; holder: pg.Client; pool: pg.Pool }>({
  pair: async ({ postgres }, use) => {
    const pair = new Pair(postgres);
    await pair.queue.connect();
    await use(pair);
    await pair.close();
  },
  holder: async ({ postgres, pair: _makesTheTables }, use) => {
    const holder = new pg.Client({ connectionString: postgres });
    await holder.connect();
    await use(holder);
    await holder.query("ROLLBACK");
    await holder.end();
  },
  pool: async ({ postgres, pair: _makesTheTables }, use) => {
    const options = "-c search_path=bullmq -c lock_timeout=500";
    const pool = testPool({ connectionString: postgres, options, keepAlive: true });
    await use(pool);
    await pool.end();
  },
});

const task = defineTask({ name: "test.waits" }, async (n: number) => n);

test("the recovery of lapsed locks waits for no active job, and takes each lapsed one that is free", async ({
  pair,
  holder,
  pool,
}) => {
  const jobs = [1, 2, 3].map((n) => pair.queue.submit(task, n));
  await Promise.all(jobs.map((job) => job.sent()));
  const [held, lapsed, current] = jobs.map(({ id }) => id) as [string, string, string];
  const queue = laneQueueName(pair.queue.name, "loop");
  await pool.query(
    "UPDATE job SET state = 'active', lock_token = 'w:0', locked_until_ms = CASE id WHEN $2 THEN $3::bigint ELSE 1 END WHERE queue = $1",
    [queue, current, Date.now() + 60_000],
  );
  await holder.query("BEGIN");
  await holder.query("SELECT 1 FROM bullmq.job WHERE id = ANY($1) FOR UPDATE", [[held, current]]);
  const backend = postgresBackend(async () => {})(queue, { connection: pool });
  expect(await backend.moveStalledJobsToWait()).toEqual([lapsed]);
  await holder.query("ROLLBACK");
  expect(await backend.moveStalledJobsToWait()).toEqual([held]);
  const { rows } = await pool.query("SELECT id, stalled_count FROM job WHERE queue = $1 ORDER BY seq", [
    queue,
  ]);
  expect(rows).toEqual([
    { id: held, stalled_count: 1 },
    { id: lapsed, stalled_count: 1 },
    { id: current, stalled_count: 0 },
  ]);
  await pool.query("UPDATE job SET locked_until_ms = 1 WHERE queue = $1 AND id = $2", [queue, current]);
  expect(await backend.moveStalledJobsToWait()).toEqual([current]);
  await backend.close();
  await pair.work([task]);
  expect(await Promise.all(jobs)).toEqual([1, 2, 3]);
});

test("expired claims of ids are forgotten without waiting for those that are claimed again", async ({
  holder,
  pool,
}) => {
  await claimLane(pool, "q", "loop", ["a", "b"]);
  await pool.query("UPDATE taskloom_lane_claim SET until_ms = 1");
  await holder.query("BEGIN");
  await holder.query("SELECT 1 FROM bullmq.taskloom_lane_claim WHERE id = 'a' FOR UPDATE");
  await removeLapsedClaims(pool);
  const { rows } = await pool.query("SELECT id FROM taskloom_lane_claim");
  expect(rows).toEqual([{ id: "a" }]);
});

test.for([0, undefined])(
  "a flow's parent is removed when none of its children is ending (kept for %s)",
  async (keep, { pair, holder, pool }) => {
    await pair.work([task]);
    const kept = keep === undefined ? {} : { keep: { completed: keep } };
    const parent = call(task, 0).with(kept);
    const flow = pair.queue.flow(parent, [call(task, 1)]);
    expect(await flow).toBe(0);
    await pair.stopWorkers();
    const queue = laneQueueName(pair.queue.name, "loop");
    const left = async (): Promise<number> => {
      await removeExpired(pool, queue, Date.now() + 30 * 86_400_000);
      const { rows } = await pool.query("SELECT 1 FROM job WHERE queue = $1 AND id = $2", [queue, flow.id]);
      return rows.length;
    };
    await holder.query("BEGIN");
    await holder.query("SELECT pg_advisory_xact_lock(hashtext($1))", [`bullmq:parent:${queue}:${flow.id}`]);
    expect(await left()).toBe(1);
    await holder.query("ROLLBACK");
    expect(await left()).toBe(0);
  },
);
