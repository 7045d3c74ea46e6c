import { createTask, sleep } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
import pg from "pg";
import { expect } from "vitest";
import { postgresTest as test } from "../../../../test/support/postgres.ts";
import { laneQueueName } from "../../src/contract/lane.ts";

const jobs = process.env["TASKLOOM_FAULTS"] === "full" ? 8_000 : 1_500;
/** Jobs that end before the load, and are due to be forgotten while it runs. */
const dueDuringLoad = 300;
/** Every fifth job is kept to the end of the test, so that retention passes over some as it removes the others. */
const isKept = (n: number): boolean => n % 5 === 0;
const square = defineTask({ name: "test.square" }, async (n: number) => n * n);

/** How many deadlocks the server has counted in a database that nobody else uses any more. */
async function deadlocksOf(database: string): Promise<number> {
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  // A session counts what it met when it ends at the latest, which is after its pool has ended.
  await expect
    .poll(async () => {
      const others =
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
      return (await client.query(others)).rowCount;
    })
    .toBe(0);
  const { rows } = await client.query(
    "SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()",
  );
  await client.end();
  return (rows[0] as { deadlocks: number }).deadlocks;
}

/** Forgets again and again: a worker does so every 5 s, which is longer than most of this load. */
function forgetAllTheTime({ engine, name }: TaskQueue): Task<void> {
  return createTask(async () => {
    for (;;) {
      await engine.removeExpired(laneQueueName(name, "loop"));
      await sleep(5);
    }
  });
}

/** Submits all jobs at once to one worker, while retention removes most of those that have ended. */
async function runLoad(engine: string): Promise<void> {
  const worker = new TaskWorker({ engine, queues: ["load"], tasks: [square], threads: 1 });
  const running = worker.run();
  await worker.ready();
  await using queue = new TaskQueue({ engine, name: "load" });
  const forgetting = forgetAllTheTime(queue);
  try {
    const before = Array.from({ length: dueDuringLoad }, (_, n) =>
      queue.with({ keep: { completed: 1_000 } }).submit(square, n),
    );
    await Promise.allSettled(before);
    // Longer than a reply takes on a busy machine: a result that is gone before it is received is lost.
    const shortlyKept = queue.with({ keep: { completed: 5_000 } });
    const tasks = Array.from({ length: jobs }, (_, n) => (isKept(n) ? queue : shortlyKept).submit(square, n));
    expect(await Promise.all(tasks)).toEqual(tasks.map((_, n) => n * n));
    const kept = tasks.filter((_, n) => isKept(n)).length;
    await expect.poll(async () => (await queue.counts()).completed, { timeout: 60_000 }).toBe(kept);
  } finally {
    for (const task of [forgetting, running]) task.cancel();
    await Promise.allSettled([forgetting, running]);
  }
}

test(
  `${jobs} jobs at once, one worker and retention make no deadlock`,
  { timeout: 600_000 },
  async ({ postgres }) => {
    await runLoad(postgres);
    expect(await deadlocksOf(postgres)).toBe(0);
  },
);
