import { createPostgresBackend } from "bullmq";
import pg from "pg";
import { installFunctions } from "../../../packages/queue/src/engines/postgres/driver/install-functions.ts";
import { PostgresDriver } from "../../../packages/queue/src/engines/postgres/driver/postgres-driver.ts";
import { sessionOf } from "../../../packages/queue/src/engines/postgres/driver/sql-session.ts";
import { errorOf } from "./errors-of.ts";
import type { Settings } from "./operation.ts";
import { driverAdd, driverTurn } from "./postgres-driver-operations.ts";
import { listenTo } from "./postgres-listener.ts";
import type { Listener } from "./postgres-listener.ts";
import { bullApply, openLane } from "./postgres-operations.ts";
import type { PostgresLane } from "./postgres-operations.ts";
import { postgresSnapshot } from "./postgres-snapshot.ts";
import type { OpenSide, Side, Sides } from "./side.ts";

/** A schema with BullMQ's tables, for the lanes of many sequences. */
interface Schema {
  readonly name: string;
  readonly pool: pg.Pool;
  readonly backend: ReturnType<typeof createPostgresBackend>;
}

/**
 * Opens the sides of a PostgreSQL database: BullMQ's own commands in one schema, and the driver, with BullMQ's commands for
 * all other operations, in another one. The schemas must not exist; they are dropped at the end.
 */
export async function postgresSides(url: string): Promise<Sides & { close(): Promise<void> }> {
  const schemas = { single: await openSchema(url, "single"), turns: await openSchema(url, "turns") };
  const session = await schemas.turns.pool.connect();
  await installFunctions(sessionOf(session), "turns");
  session.release();
  const listener = await listenTo(url);
  const numbers = { bullmq: 0, driver: 0 };

  const bullmq: OpenSide = async (settings, now) => {
    const lane = await laneIn(schemas.single, `main-${++numbers.bullmq}`, settings);
    return sideOf(lane, listener, (operation) => bullApply(lane, operation, now()));
  };
  const driver: OpenSide = async (settings, now) => {
    const lane = await laneIn(schemas.turns, `main-${++numbers.driver}`, settings);
    const turns = new PostgresDriver({
      pool: sessionOf(schemas.turns.pool),
      schema: "turns",
      queue: lane.queue,
      limiter: settings.limiter,
      maxMetricsSize: settings.metrics,
      now,
    });
    return sideOf(lane, listener, async (operation) => {
      if (operation.kind === "add") return await driverAdd(turns, lane, operation.jobs);
      if (operation.kind === "turn") return await driverTurn(turns, operation, now());
      return await bullApply(lane, operation, now());
    });
  };
  const close = async (): Promise<void> => {
    await listener.close();
    for (const { name, pool, backend } of Object.values(schemas)) {
      await backend.close();
      await pool.query(`DROP SCHEMA ${name} CASCADE`);
      await pool.end();
    }
  };
  return { bullmq, driver, close };
}

async function openSchema(url: string, name: string): Promise<Schema> {
  // BullMQ does not order jobs that are due at the same time. The order of an index is at least the same on both sides. The
  // data need not survive a crash.
  const options = "-c enable_seqscan=off -c enable_bitmapscan=off -c synchronous_commit=off";
  const pool = new pg.Pool({ connectionString: url, options: `${options} -c search_path=${name}`, max: 2 });
  pool.on("error", () => {});
  const backend = createPostgresBackend("first", {
    connection: { connectionString: url, options, schema: name, migrate: true, max: 2 },
  });
  await backend.waitUntilReady();
  return { name, pool, backend };
}

async function laneIn({ backend, pool }: Schema, name: string, settings: Settings): Promise<PostgresLane> {
  return await openLane(backend, pool, name, settings);
}

function sideOf(lane: PostgresLane, listener: Listener, apply: Side["apply"]): Side {
  return {
    apply: async (operation) => {
      const answer = await apply(operation).catch((error: unknown) => ({
        results: [errorOf(error)],
        claimed: [],
        isLimited: false,
        nextDue: 0,
      }));
      return { ...answer, results: [...answer.results, { heard: await listener.heard() }] };
    },
    snapshot: () => postgresSnapshot(lane),
    close: () => lane.close(),
  };
}
