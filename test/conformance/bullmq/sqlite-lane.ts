import { FlowProducer, Queue } from "bullmq";
import type { FlowJob, JobsOptions } from "bullmq";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import type { Database, SqliteQueueBackend } from "@taskloom/bullmq-sqlite";
import { anyBackend } from "../../../packages/queue/src/bullmq/any-backend.ts";
import { LOCK_MS } from "./bull-operations.ts";
import type { AddedJob, FlowNode, Settings } from "./operation.ts";

/** The lanes of a sequence in one file, by BullMQ's own classes. */
export interface SqliteLane {
  readonly queue: Queue;
  /** The name of the lane that only has parents. */
  readonly other: string;
  readonly backend: SqliteQueueBackend;
  readonly flows: FlowProducer;
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
  return { queue, other: name.replace("main", "other"), backend, flows, database, close };
}

/** Returns a job's options with the lane of its parent. */
export function optionsOf({ opts, parent }: AddedJob, lane: string): JobsOptions {
  return parent === undefined ? opts : { ...opts, parent: { id: parent, queue: lane } };
}

export function flowOf(lane: SqliteLane, { lane: place, name, data, opts, children }: FlowNode): FlowJob {
  const own: FlowJob = { name, queueName: place === "main" ? lane.queue.name : lane.other, data, opts };
  return children.length === 0 ? own : { ...own, children: children.map((child) => flowOf(lane, child)) };
}
