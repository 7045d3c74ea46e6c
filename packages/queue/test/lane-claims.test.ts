import pg from "pg";
import { expect } from "vitest";
import { createLaneClaims } from "../src/engines/sql/lane-claims.ts";
import { openEngine } from "../src/engines/open-engine.ts";
import { postgresTest } from "../../../test/support/postgres.ts";

postgresTest(
  "processes that start at once on an empty database do not stumble over each other",
  async ({ postgres }) => {
    const engine = openEngine(postgres);
    await engine.connect();
    const pools = Array.from({ length: 8 }, () => new pg.Pool({ connectionString: postgres, max: 1 }));
    try {
      for (let round = 0; round < 25; round++) {
        await pools[0]?.query("DROP TABLE bullmq.taskloom_lane_claim");
        await Promise.all(pools.map((pool) => createLaneClaims(pool)));
      }
      const { rows } = await pools[0]!.query("SELECT count(*)::int AS count FROM bullmq.taskloom_lane_claim");
      expect(rows).toEqual([{ count: 0 }]);
    } finally {
      await Promise.all(pools.map((pool) => pool.end()));
      await engine.close();
    }
  },
);
