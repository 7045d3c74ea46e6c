import { FlowProducer, Queue } from "bullmq";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import type { Database, SqliteQueueBackend } from "@taskloom/bullmq-sqlite";
import { anyBackend } from "../../../packages/queue/src/bullmq/any-backend.ts";
import { LOCK_MS } from "./bull-operations.ts";
import type { BullLane, Reach } from "./bull-commands.ts";
import type { Settings } from "./operation.ts";
import { otherLane, sqlParts } from "./sql-lane.ts";

/** The lanes of a sequence in one file, by BullMQ's own classes. */
export interface SqliteLane extends BullLane {
  /** The name of the lane that only has parents. */
  readonly other: string;
  readonly backend: SqliteQueueBackend;
  readonly database: Database;
  close(): Promise<void>;
}

/** Opens a lane in a file that is open already. */
export async function openLane(database: Database, name: string, settings: Settings): Promise<SqliteLane> {
  const connection = { path: database.path, sync: "normal" } as const;
  // A backend reads the options of a worker, too.
  const options = {
    connection,
    lockDuration: LOCK_MS,
    ...(settings.limiter && { limiter: settings.limiter }),
    ...(settings.metrics !== undefined && { metrics: { maxDataPoints: settings.metrics } }),
  };
  const backend = createSqliteBackend(name, options, {});
  const factory = anyBackend(() => backend);
  const queue = new Queue(name, { connection: {}, skipMetasUpdate: true }, factory);
  const flows = new FlowProducer({ connection: {} }, factory);
  await backend.waitUntilReady();
  if (settings.maxEvents !== undefined)
    await backend.setQueueMeta({ "opts.maxLenEvents": settings.maxEvents });
  const close = async (): Promise<void> => {
    await flows.close();
    await queue.close();
  };
  return {
    // The backend takes a count of 0 for all finished jobs of the queue, and not for this one.
    ...sqlParts(queue, (keep) => (keep.count === 0 && !("age" in keep) ? true : keep)),
    other: otherLane(name),
    backend,
    flows,
    database,
    close,
    reach: (operation) => reach(queue, database, operation),
    comparable: (record) => record,
  };
}

async function reach(queue: Queue, database: Database, operation: Reach): Promise<unknown> {
  switch (operation.kind) {
    case "expire limit":
      return await queue.backend.removeRateLimitKey();
    case "recover stalled":
      return await queue.backend.moveStalledJobsToWait();
    case "lose lock":
      return await database.statements([
        [
          "UPDATE job SET lock_token = NULL, locked_until = 1 WHERE q = (SELECT q FROM queue WHERE name = ?) AND id = ? AND state = 1",
          [queue.name, operation.id],
        ],
      ]);
    default:
      return null; // BullMQ 4 had no SQL. A job is one row: it always has a priority, and is in no list.
  }
}
