import { createPostgresBackend } from "bullmq";
import pg from "pg";
import { installFunctions } from "../../../packages/queue/src/engines/postgres/driver/install-functions.ts";
import { PostgresDriver } from "../../../packages/queue/src/engines/postgres/driver/postgres-driver.ts";
import { sessionOf } from "../../../packages/queue/src/engines/postgres/driver/sql-session.ts";
import { applyByBullMQ } from "./bull-commands.ts";
import { applyByDriver, refusing } from "./driver-commands.ts";
import type { Settings } from "./operation.ts";
import { withoutServerTimes } from "./postgres-clock.ts";
import { listenTo } from "./postgres-listener.ts";
import type { Listener } from "./postgres-listener.ts";
import { openLane } from "./postgres-operations.ts";
import type { PostgresLane } from "./postgres-operations.ts";
import { TABLES, postgresSnapshot } from "./postgres-snapshot.ts";
import type { Side, Sides } from "./side.ts";
import { optionsOf, textOf } from "./sql-lane.ts";

/** A schema with BullMQ's tables, for the lanes of many sequences. */
interface Schema {
  /** The number of lanes so far. */
  lanes: number;
  readonly name: string;
  readonly pool: pg.Pool;
  readonly backend: ReturnType<typeof createPostgresBackend>;
}

/** The schemas of BullMQ's side and of the driver. */
export const SCHEMAS = { single: "single", turns: "turns" } as const;

interface PostgresSides extends Sides {
  /** Empties both schemas, so the next sequence does not depend on the earlier ones. Events are numbered from a number on. */
  reset(firstEvent: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Returns the sides of a PostgreSQL database: BullMQ's own commands in one schema, and the driver, with BullMQ's commands
 * for all other operations, in another one. The schemas must not exist; they are dropped at the end.
 */
export async function postgresSides(url: string): Promise<PostgresSides> {
  const schemas = {
    single: await openSchema(url, SCHEMAS.single),
    turns: await openSchema(url, SCHEMAS.turns),
  };
  const session = await schemas.turns.pool.connect();
  await installFunctions(sessionOf(session), SCHEMAS.turns);
  session.release();
  const listener = await listenTo(url);
  return {
    bullmq: async (settings, now) => {
      const lane = await laneIn(schemas.single, settings);
      return sideOf(lane, listener, (operation) => applyByBullMQ(lane, operation, now()));
    },
    driver: async (settings, now) => {
      const lane = await laneIn(schemas.turns, settings);
      const driver = new PostgresDriver({
        pool: sessionOf(schemas.turns.pool),
        schema: SCHEMAS.turns,
        queue: lane.queue,
        limiter: settings.limiter,
        maxMetricsSize: settings.metrics,
        now,
      });
      return sideOf(lane, listener, (operation) =>
        applyByDriver(
          driver,
          lane,
          { optionsOf: (job) => optionsOf(job, lane.queue.name), textOf },
          operation,
          now(),
        ),
      );
    },
    reset: async (firstEvent) => {
      for (const schema of Object.values(schemas)) await empty(schema, firstEvent);
      await listener.heard();
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
  // data need not survive a crash. A mutant of a function can be endless.
  const options =
    "-c enable_seqscan=off -c enable_bitmapscan=off -c synchronous_commit=off -c statement_timeout=20000";
  const pool = new pg.Pool({ connectionString: url, options: `${options} -c search_path=${name}`, max: 1 });
  pool.on("error", () => {});
  const backend = createPostgresBackend("first", {
    connection: { connectionString: url, options, schema: name, migrate: true, max: 1 },
  });
  await backend.waitUntilReady();
  return { lanes: 0, name, pool, backend };
}

/** Empties a schema. Only BullMQ's tables and sequences are named. */
async function empty(schema: Schema, firstEvent: number): Promise<void> {
  const { rows } = await schema.pool.query<{ name: string }>(
    "SELECT c.relname AS name FROM pg_class c WHERE relkind = 'S' AND relnamespace = $1::regnamespace AND relname LIKE 'bullmq_jid_%'",
    [schema.name],
  );
  for (const { name } of rows) await schema.pool.query(`DROP SEQUENCE ${name}`);
  await schema.pool.query(`TRUNCATE ${Object.keys(TABLES).join(", ")} CASCADE`);
  await schema.pool.query("ALTER SEQUENCE job_seq RESTART");
  await schema.pool.query(`ALTER SEQUENCE event_seq RESTART ${firstEvent}`);
  schema.lanes = 0;
}

/** Opens the lane of the next sequence. It has the same name in both schemas. */
async function laneIn(schema: Schema, settings: Settings): Promise<PostgresLane> {
  return await openLane(schema.backend, schema.pool, `main-${++schema.lanes}`, settings);
}

function sideOf(lane: PostgresLane, listener: Listener, apply: Side["apply"]): Side {
  return {
    apply: async (operation) => {
      const answer = await refusing(apply)(operation);
      return withoutServerTimes({
        ...answer,
        results: [...answer.results, { heard: await listener.heard() }],
      });
    },
    snapshot: async () => withoutServerTimes(await postgresSnapshot(lane)),
    close: () => lane.close(),
  };
}
