import { Queue, QueueEvents, Worker, createPostgresBackend } from "bullmq";
import type { ConnectionOptions, Processor, QueueOptions, WorkerOptions } from "bullmq";
import { anyBackend } from "../../../packages/queue/src/bullmq/any-backend.ts";
import type { AnyBackend } from "../../../packages/queue/src/bullmq/any-backend.ts";

/** The lane of Taskloom's queue `default` on which both kinds of workers and clients meet. */
export const LANE = "default.loop";

/** The locks of BullMQ's worker. The default of 30 s would make a test of its death as long. */
const LOCKS: Pick<WorkerOptions, "lockDuration" | "stalledInterval" | "maxStalledCount"> = {
  lockDuration: 5_000,
  stalledInterval: 1_000,
  // BullMQ's worker applies its limit to the jobs of dead Taskloom workers, too.
  maxStalledCount: 100,
};

/** Returns where BullMQ's own classes find the jobs of a Taskloom engine. */
function placeOf(url: string): readonly [options: QueueOptions, backend: AnyBackend | undefined] {
  if (url.startsWith("postgres")) {
    // BullMQ's classes name the connection of their backend; `anyBackend` says why all of them have one type here.
    const connection = { connectionString: url, schema: "bullmq" } as ConnectionOptions;
    return [{ connection }, anyBackend(createPostgresBackend)];
  }
  const connection = { port: Number(new URL(url).port), maxRetriesPerRequest: null };
  return [{ connection, prefix: "taskloom" }, undefined];
}

/** Opens a queue that keeps all events of a test. */
export function plainQueue(url: string): Queue {
  const [place, backend] = placeOf(url);
  const options = { ...place, streams: { events: { maxLen: 1_000_000 } } };
  return backend === undefined ? new Queue(LANE, options) : new Queue(LANE, options, backend);
}

/** Opens QueueEvents that read all events of the lane from the first one on. */
export function plainEvents(url: string): QueueEvents {
  const [place, backend] = placeOf(url);
  const options = { ...place, lastEventId: "0" };
  return backend === undefined ? new QueueEvents(LANE, options) : new QueueEvents(LANE, options, backend);
}

export function plainWorker(url: string, process: Processor, concurrency: number): Worker {
  const [place, backend] = placeOf(url);
  const options = { ...place, ...LOCKS, concurrency };
  return backend === undefined
    ? new Worker(LANE, process, options)
    : new Worker(LANE, process, options, backend);
}
