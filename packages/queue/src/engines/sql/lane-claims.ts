import type { Lane } from "../../contract/lane.ts";
import { LANE_CLAIM_MS } from "../../contract/engine.ts";
import { schema } from "./job-table.ts";
import type { SqlPool } from "./job-table.ts";
import { now, unlessMadeMeanwhile } from "./own-table.ts";

const table = `${schema}.taskloom_lane_claim`;

/** Makes the table of {@link claimLane}. What is in it counts for seconds, so it need not survive a crash. */
export async function createLaneClaims(pool: SqlPool): Promise<void> {
  await unlessMadeMeanwhile(
    pool.query(
      `CREATE UNLOGGED TABLE IF NOT EXISTS ${table}
        (queue text, id text, lane text NOT NULL, until_ms bigint NOT NULL, PRIMARY KEY (queue, id))`,
    ),
  );
}

export async function claimLane(
  pool: SqlPool,
  queue: string,
  lane: Lane,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  // In order, so that two statements that meet cannot wait for each other in a circle.
  const { rows } = await pool.query(
    `INSERT INTO ${table} AS claim SELECT $1, unnest($2::text[]), $3, ${now} + ${LANE_CLAIM_MS}
      ON CONFLICT (queue, id) DO UPDATE SET lane = excluded.lane, until_ms = excluded.until_ms
        WHERE claim.lane = excluded.lane OR claim.until_ms <= ${now}
      RETURNING id`,
    [queue, ids.toSorted(), lane],
  );
  return new Set(rows.map(({ id }) => id as string));
}

export async function forgetLaneClaims(pool: SqlPool): Promise<void> {
  // Without waiting: those that are claimed again right now are locked in another order than this one's.
  await pool.query(
    `DELETE FROM ${table} WHERE (queue, id) IN
      (SELECT queue, id FROM ${table} WHERE until_ms <= ${now} FOR UPDATE SKIP LOCKED)`,
  );
}
