import pg from "pg";
import { expect } from "vitest";
import { openEngine } from "../src/engines/open-engine.ts";
import { createLaneClaims } from "../src/engines/postgres/lane-claims.ts";
import { postgresTest } from "../../../test/support/postgres.ts";

postgresTest(
  "processes that start at once on an empty database do not stumble over each other",
  async ({ postgres }) => {
    const engine = openEngine(postgres);
    await engine.connect();
    const processes = Array.from({ length: 8 }, () => new pg.Client({ connectionString: postgres }));
    await Promise.all(processes.map((each) => each.connect()));
    // The database is dropped when the test ends, and takes with it what is not closed yet.
    for (const each of processes) each.on("error", () => {});
    try {
      const [one] = processes as [pg.Client];
      for (let round = 0; round < 25; round++) {
        await one.query("DROP TABLE bullmq.taskloom_lane_claim");
        await Promise.all(processes.map((each) => createLaneClaims(each)));
      }
      const { rows } = await one.query("SELECT count(*)::int AS count FROM bullmq.taskloom_lane_claim");
      expect(rows).toEqual([{ count: 0 }]);
    } finally {
      await Promise.all(processes.map((each) => each.end()));
      await engine.close();
    }
  },
);
