import { createPostgresBackend } from "bullmq";
import pg from "pg";
import { installFunctions } from "../../../packages/queue/src/engines/postgres/driver/install-functions.ts";
import { PostgresDriver } from "../../../packages/queue/src/engines/postgres/driver/postgres-driver.ts";
import type { SqlSession } from "../../../packages/queue/src/engines/postgres/driver/sql-session.ts";
import { errorOf } from "./errors-of.ts";
import type { Settings } from "./operation.ts";
import { driverAdd, driverTurn } from "./postgres-driver-operations.ts";
import { withoutServerTimes } from "./postgres-clock.ts";
import { listenTo } from "./postgres-listener.ts";
import type { Listener } from "./postgres-listener.ts";
import { bullApply, openLane } from "./postgres-operations.ts";
import type { PostgresLane } from "./postgres-operations.ts";
import { postgresSnapshot } from "./postgres-snapshot.ts";
import type { Side, Sides } from "./side.ts";

/** A schema with BullMQ's tables, for the lanes of many sequences. */
interface Schema {
  /** The number of lanes so far. */
  lanes: number;
  readonly name: string;
  readonly pool: pg.Pool;
  readonly backend: ReturnType<typeof createPostgresBackend>;
}

const sqlOf = (connection: pg.Pool | pg.ClientBase): SqlSession => ({
  query: (text, params) => connection.query(text, params && [...params]),
});

/**
 * Returns the sides of a PostgreSQL database: BullMQ's own commands in one schema, and the driver, with BullMQ's commands
 * for all other operations, in another one. The schemas must not exist; they are dropped at the end.
 */
export async function postgresSides(url: string): Promise<Sides & { close(): Promise<void> }> {
  const schemas = { single: await openSchema(url, "single"), turns: await openSchema(url, "turns") };
  const session = await schemas.turns.pool.connect();
  await installFunctions(sqlOf(session), "turns");
  session.release();
  const listener = await listenTo(url);
  return {
    bullmq: async (settings, now) => {
      const lane = await laneIn(schemas.single, settings);
      return sideOf(lane, listener, (operation) => bullApply(lane, operation, now()));
    },
    driver: async (settings, now) => {
      const lane = await laneIn(schemas.turns, settings);
      const driver = new PostgresDriver({
        pool: sqlOf(schemas.turns.pool),
        schema: "turns",
        queue: lane.queue,
        limiter: settings.limiter,
        maxMetricsSize: settings.metrics,
        now,
      });
      return sideOf(lane, listener, async (operation) => {
        if (operation.kind === "add") return await driverAdd(driver, lane, operation.jobs);
        if (operation.kind === "turn") return await driverTurn(driver, operation, now());
        return await bullApply(lane, operation, now());
      });
    },
    close: async () => {
      await listener.close();
      for (const { name, pool, backend } of Object.values(schemas)) {
        await backend.close();
        await pool.query(`DROP SCHEMA ${name} CASCADE`);
        await pool.end();
      }
    },
  };
}

async function openSchema(url: string, name: string): Promise<Schema> {
  // BullMQ does not order jobs that are due at the same time. The order of an index is at least the same on both sides. The
  // data need not survive a crash.
  const options = "-c enable_seqscan=off -c enable_bitmapscan=off -c synchronous_commit=off";
  const pool = new pg.Pool({ connectionString: url, options: `${options} -c search_path=${name}`, max: 1 });
  pool.on("error", () => {});
  const backend = createPostgresBackend("first", {
    connection: { connectionString: url, options, schema: name, migrate: true, max: 1 },
  });
  await backend.waitUntilReady();
  return { lanes: 0, name, pool, backend };
}

/** Opens the lane of the next sequence. It has the same name in both schemas. */
async function laneIn(schema: Schema, settings: Settings): Promise<PostgresLane> {
  return await openLane(schema.backend, schema.pool, `main-${++schema.lanes}`, settings);
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
      return withoutServerTimes({
        ...answer,
        results: [...answer.results, { heard: await listener.heard() }],
      });
    },
    snapshot: async () => withoutServerTimes(await postgresSnapshot(lane)),
    close: () => lane.close(),
  };
}
