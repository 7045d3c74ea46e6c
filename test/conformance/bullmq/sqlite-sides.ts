import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "@taskloom/bullmq-sqlite";
import { SqliteDriver } from "../../../packages/queue/src/engines/sqlite/sqlite-driver.ts";
import { applyByBullMQ } from "./bull-commands.ts";
import { applyByDriver, refusing } from "./driver-commands.ts";
import type { Settings } from "./operation.ts";
import { withoutServerTimes } from "./postgres-clock.ts";
import type { Side, Sides } from "./side.ts";
import { optionsOf, textOf } from "./sql-lane.ts";
import { openLane } from "./sqlite-lane.ts";
import type { SqliteLane } from "./sqlite-lane.ts";
import { removeRows, sqliteSnapshot } from "./sqlite-snapshot.ts";

/**
 * Returns the sides of the embedded database: BullMQ's own commands in one file, and the driver, with BullMQ's commands for
 * all other operations, in another one. The files are in a folder of their own, which is deleted.
 */
export async function sqliteSides(): Promise<Sides & { close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  const open = async (name: string): Promise<Database> => {
    const database = Database.use({ path: join(folder, name), sync: "normal" });
    await database.ready();
    return database;
  };
  const files = { single: await open("single.sqlite"), turns: await open("turns.sqlite") };
  const lanes = { single: 0, turns: 0 };
  return {
    bullmq: async (settings, now) => {
      const lane = await openLane(files.single, `main-${++lanes.single}`, settings);
      return sideOf(lane, settings, (operation) => applyByBullMQ(lane, operation, now()));
    },
    driver: async (settings, now) => {
      const lane = await openLane(files.turns, `main-${++lanes.turns}`, settings);
      const driver = new SqliteDriver(lane.queue, lane.backend);
      return sideOf(lane, settings, (operation) =>
        applyByDriver(
          driver,
          lane,
          { optionsOf: (job) => optionsOf(job, lane.queue.name), textOf },
          operation,
          now(),
        ),
      );
    },
    close: async () => {
      await Promise.all(Object.values(files).map((file) => file.close()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function sideOf(lane: SqliteLane, { maxEvents }: Settings, apply: Side["apply"]): Side {
  return {
    apply: async (operation) => {
      const answer = await refusing(apply)(operation);
      return withoutServerTimes(answer);
    },
    snapshot: async () => withoutServerTimes(await sqliteSnapshot(lane, maxEvents)),
    close: async () => {
      await removeRows(lane);
      await lane.close();
    },
  };
}
