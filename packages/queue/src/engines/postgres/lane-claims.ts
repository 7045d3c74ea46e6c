import type { TaskLane } from "../../contract/lane.ts";
import { LANE_CLAIM_MS } from "../../contract/engine.ts";
import { SCHEMA } from "./schema.ts";
import type { SqlPool } from "./job-table.ts";
import { NOW, unlessCreatedMeanwhile } from "./own-table.ts";

const TABLE = `${SCHEMA}.taskloom_lane_claim`;

/** Creates the table of lane claims. Its rows are valid for seconds, so they need not survive a crash. */
export async function createLaneClaims(pool: SqlPool): Promise<void> {
  await unlessCreatedMeanwhile(
    pool.query(
      `CREATE UNLOGGED TABLE IF NOT EXISTS ${TABLE}
        (queue text, id text, lane text NOT NULL, until_ms bigint NOT NULL, PRIMARY KEY (queue, id))`,
    ),
  );
}

/** {@link Engine.claimLane} on a table of our own. */
export async function claimLane(
  pool: SqlPool,
  queue: string,
  lane: TaskLane,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  // The ids are sorted, so that two statements that run at once cannot deadlock.
  const { rows } = await pool.query(
    `INSERT INTO ${TABLE} AS claim SELECT $1, unnest($2::text[]), $3, ${NOW} + ${LANE_CLAIM_MS}
      ON CONFLICT (queue, id) DO UPDATE SET lane = excluded.lane, until_ms = excluded.until_ms
        WHERE claim.lane = excluded.lane OR claim.until_ms <= ${NOW}
      RETURNING id`,
    [queue, ids.toSorted(), lane],
  );
  return new Set(rows.map(({ id }) => String(id)));
}

/** Removes the claims that have lapsed. */
export async function removeLapsedClaims(pool: SqlPool): Promise<void> {
  // Locked rows are skipped: a claim that is renewed right now locks its rows in another order.
  await pool.query(
    `DELETE FROM ${TABLE} WHERE (queue, id) IN
      (SELECT queue, id FROM ${TABLE} WHERE until_ms <= ${NOW} FOR UPDATE SKIP LOCKED)`,
  );
}
