import { FlowProducer, Queue } from "bullmq";
import type { PostgresQueueBackend } from "bullmq";
import type pg from "pg";
import { anyBackend } from "../../../packages/queue/src/bullmq/any-backend.ts";
import { LOCK_MS } from "./bull-operations.ts";
import type { BullLane, Reach } from "./bull-commands.ts";
import type { Settings } from "./operation.ts";
import { otherLane, sqlParts } from "./sql-lane.ts";

/** The lanes of a sequence in one schema, by BullMQ's own classes. */
export interface PostgresLane extends BullLane {
  /** The name of the lane that only has parents. */
  readonly other: string;
  readonly pool: pg.Pool;
  close(): Promise<void>;
}

/** Opens a lane on the connection of a schema's backend. */
export async function openLane(
  schema: PostgresQueueBackend,
  pool: pg.Pool,
  name: string,
  settings: Settings,
): Promise<PostgresLane> {
  const backend = schema.forQueue(name) as PostgresQueueBackend;
  // A backend reads the options of a worker, too.
  Object.assign(backend, {
    opts: {
      lockDuration: LOCK_MS,
      limiter: settings.limiter,
      metrics: settings.metrics === undefined ? undefined : { maxDataPoints: settings.metrics },
    },
  });
  const factory = anyBackend(() => backend);
  const queue = new Queue(name, { connection: {}, skipMetasUpdate: true }, factory);
  const flows = new FlowProducer({ connection: {} }, factory);
  if (settings.maxEvents !== undefined)
    await backend.setQueueMeta({ "opts.maxLenEvents": settings.maxEvents });
  const close = async (): Promise<void> => {
    await flows.close();
    await queue.close();
  };
  return {
    ...sqlParts(queue),
    other: otherLane(name),
    flows,
    pool,
    close,
    reach: (operation) => reach(queue, pool, operation),
    comparable,
  };
}

/** Returns a record with its texts parsed: the two sides separate the parts of a JSON text differently. */
export function comparable(record: unknown): unknown {
  return Object.fromEntries(
    Object.entries(record as Record<string, unknown>).map(([field, value]) =>
      ["data", "returnvalue", "stacktrace"].includes(field)
        ? [field, JSON.parse(String(value))]
        : [field, value],
    ),
  );
}

async function reach(queue: Queue, pool: pg.Pool, operation: Reach): Promise<unknown> {
  switch (operation.kind) {
    case "expire limit":
      return await pool.query("DELETE FROM rate_limit WHERE queue = $1", [queue.name]);
    case "recover stalled":
      return await queue.backend.moveStalledJobsToWait();
    case "lose lock":
      return await pool.query(
        "UPDATE job SET lock_token = NULL, locked_until_ms = 1 WHERE queue = $1 AND id = $2 AND state = 'active'",
        [queue.name, operation.id],
      );
    default:
      return null; // BullMQ 4 had no SQL. A job is one row: it always has a priority, and is in no list.
  }
}
