import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "@taskloom/bullmq-sqlite";
import type { NewJob } from "../../../packages/queue/src/contract/lane-queue.ts";
import type { LaneDriver } from "../../../packages/queue/src/contract/lane-driver.ts";
import { SqliteDriver } from "../../../packages/queue/src/engines/sqlite/sqlite-driver.ts";
import { LOCK_MS } from "./bull-operations.ts";
import { errorOf } from "./errors-of.ts";
import type { AddedJob, Operation, Settings } from "./operation.ts";
import { withoutServerTimes } from "./postgres-clock.ts";
import type { Answer, Side, Sides } from "./side.ts";
import { openLane, optionsOf } from "./sqlite-lane.ts";
import type { SqliteLane } from "./sqlite-lane.ts";
import { bullApply, textOf } from "./sqlite-operations.ts";
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
      return sideOf(lane, settings, (operation) => bullApply(lane, operation, now()));
    },
    driver: async (settings, now) => {
      const lane = await openLane(files.turns, `main-${++lanes.turns}`, settings);
      const driver = new SqliteDriver(lane.queue, lane.backend);
      return sideOf(lane, settings, async (operation) => {
        if (operation.kind === "add") return await driverAdd(driver, lane, operation.jobs);
        if (operation.kind === "turn") return await driverTurn(driver, operation, now());
        return await bullApply(lane, operation, now());
      });
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
      const answer = await apply(operation).catch((error: unknown) => ({
        results: [errorOf(error)],
        claimed: [],
        isLimited: false,
        nextDue: 0,
      }));
      return withoutServerTimes(answer);
    },
    snapshot: async () => withoutServerTimes(await sqliteSnapshot(lane, maxEvents)),
    close: async () => {
      await removeRows(lane);
      await lane.close();
    },
  };
}

async function driverAdd(
  driver: LaneDriver,
  { queue }: SqliteLane,
  jobs: readonly AddedJob[],
): Promise<Answer> {
  const added = await driver.add(
    jobs.map(
      (job) => ({ name: job.name, data: job.data, opts: optionsOf(job, queue.name) }) as unknown as NewJob,
    ),
  );
  const results = added.map((id) => (id instanceof Error ? errorOf(id) : id));
  return { results, claimed: [], isLimited: false, nextDue: 0 };
}

async function driverTurn(
  driver: LaneDriver,
  { ends, claim }: Extract<Operation, { kind: "turn" }>,
  now: number,
): Promise<Answer> {
  const { refusals, jobs, limitedFor, nextDue } = await driver.turn(
    ends.map(({ ago, attempts, ...end }) => ({
      ...end,
      text: textOf(end),
      finishedOn: now - ago,
      opts: { attempts },
    })),
    claim === undefined ? undefined : { ...claim, lockDuration: LOCK_MS },
  );
  return {
    results: refusals.map((error) => (error === undefined ? null : errorOf(error))),
    claimed: jobs,
    isLimited: limitedFor > 0,
    nextDue,
  };
}
