import { createPostgresBackend } from "bullmq";
import pg from "pg";
import { installFunctions } from "../../../packages/queue/src/engines/postgres/driver/install-functions.ts";
import { PostgresDriver } from "../../../packages/queue/src/engines/postgres/driver/postgres-driver.ts";
import type { SqlSession } from "../../../packages/queue/src/engines/postgres/driver/sql-session.ts";
import { errorOf } from "./errors-of.ts";
import type { Settings } from "./operation.ts";
import { driverAdd, driverTurn } from "./postgres-driver-operations.ts";
import { listenTo } from "./postgres-listener.ts";
import type { Listener } from "./postgres-listener.ts";
import { bullApply, openLane } from "./postgres-operations.ts";
import type { PostgresLane } from "./postgres-operations.ts";
import { postgresSnapshot } from "./postgres-snapshot.ts";
import type { OpenSides, Side } from "./side.ts";

/** A schema with BullMQ's tables, for the lanes of many sequences. */
interface Schema {
  readonly name: string;
  readonly pool: pg.Pool;
  readonly backend: ReturnType<typeof createPostgresBackend>;
}

const sqlOf = (connection: pg.Pool | pg.ClientBase): SqlSession => ({
  query: (text, params) => connection.query(text, params && [...params]),
});

/**
 * Opens the sides of a PostgreSQL database: BullMQ's own commands in one schema, and the driver, with BullMQ's commands for
 * all other operations, in another one. The schemas must not exist; they are dropped at the end.
 */
export async function postgresSides(url: string): Promise<{ open: OpenSides; close: () => Promise<void> }> {
  const schemas = { single: await openSchema(url, "single"), turns: await openSchema(url, "turns") };
  const session = await schemas.turns.pool.connect();
  await installFunctions(sqlOf(session), "turns");
  session.release();
  const listener = await listenTo(url);
  let number = 0;

  const open: OpenSides = async (settings, now) => {
    const name = `main-${++number}`;
    const reference = await laneIn(schemas.single, name, settings);
    const own = await laneIn(schemas.turns, name, settings);
    const driver = new PostgresDriver({
      pool: sqlOf(schemas.turns.pool),
      schema: "turns",
      queue: own.queue,
      limiter: settings.limiter,
      maxMetricsSize: settings.metrics,
      now,
    });
    return {
      bullmq: sideOf(reference, listener, (operation) => bullApply(reference, operation, now())),
      driver: sideOf(own, listener, async (operation) => {
        if (operation.kind === "add") return await driverAdd(driver, own, operation.jobs);
        if (operation.kind === "turn") return await driverTurn(driver, operation, now());
        return await bullApply(own, operation, now());
      }),
    };
  };
  const close = async (): Promise<void> => {
    await listener.close();
    for (const { name, pool, backend } of Object.values(schemas)) {
      await backend.close();
      await pool.query(`DROP SCHEMA ${name} CASCADE`);
      await pool.end();
    }
  };
  return { open, close };
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
        results: [errorOf(error, "")],
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
