import { SERVING_TTL_MS } from "../../contract/serving.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import { SCHEMA } from "./schema.ts";
import type { SqlPool } from "./job-table.ts";
import { NOW, unlessCreatedMeanwhile } from "./own-table.ts";

const TABLE = `${SCHEMA}.taskloom_serving`;

/** Creates the table of live workers. Its rows are valid for seconds, so they need not survive a crash. */
export async function createServing(pool: SqlPool): Promise<void> {
  await unlessCreatedMeanwhile(
    pool.query(
      `CREATE UNLOGGED TABLE IF NOT EXISTS ${TABLE} (id text PRIMARY KEY, worker text NOT NULL, until_ms bigint NOT NULL)`,
    ),
  );
}

export async function serve(pool: SqlPool, worker: ServingWorker): Promise<void> {
  await pool.query(
    `INSERT INTO ${TABLE} VALUES ($1, $2, ${NOW} + ${SERVING_TTL_MS})
      ON CONFLICT (id) DO UPDATE SET worker = excluded.worker, until_ms = excluded.until_ms`,
    [worker.id, JSON.stringify(worker)],
  );
}

export async function stopServing(pool: SqlPool, id: string): Promise<void> {
  await pool.query(`DELETE FROM ${TABLE} WHERE id = $1 OR until_ms <= ${NOW}`, [id]);
}

export async function servingWorkers(pool: SqlPool): Promise<ServingWorker[]> {
  const { rows } = await pool.query(`SELECT worker FROM ${TABLE} WHERE until_ms > ${NOW} ORDER BY id`);
  return rows.map(({ worker }): ServingWorker => JSON.parse(String(worker)));
}
