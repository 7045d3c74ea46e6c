import { SERVING_TTL_MS } from "../../contract/serving.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import { schema } from "./job-table.ts";
import type { SqlPool } from "./job-table.ts";
import { now, unlessMadeMeanwhile } from "./own-table.ts";

const table = `${schema}.taskloom_serving`;

/** Makes the table of live workers. What is in it counts for seconds, so it need not survive a crash. */
export async function createServing(pool: SqlPool): Promise<void> {
  await unlessMadeMeanwhile(
    pool.query(
      `CREATE UNLOGGED TABLE IF NOT EXISTS ${table} (id text PRIMARY KEY, worker text NOT NULL, until_ms bigint NOT NULL)`,
    ),
  );
}

export async function serve(pool: SqlPool, worker: ServingWorker): Promise<void> {
  await pool.query(
    `INSERT INTO ${table} VALUES ($1, $2, ${now} + ${SERVING_TTL_MS})
      ON CONFLICT (id) DO UPDATE SET worker = excluded.worker, until_ms = excluded.until_ms`,
    [worker.id, JSON.stringify(worker)],
  );
}

export async function stopServing(pool: SqlPool, id: string): Promise<void> {
  await pool.query(`DELETE FROM ${table} WHERE id = $1 OR until_ms <= ${now}`, [id]);
}

export async function servingWorkers(pool: SqlPool): Promise<ServingWorker[]> {
  const { rows } = await pool.query(`SELECT worker FROM ${table} WHERE until_ms > ${now} ORDER BY id`);
  return rows.map(({ worker }) => JSON.parse(worker as string) as ServingWorker);
}
