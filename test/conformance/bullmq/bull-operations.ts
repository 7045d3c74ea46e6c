import { FlowProducer, Queue } from "bullmq";
import type { FlowJob, JobsOptions, KeepJobs, QueueOptions } from "bullmq";
import type { Redis } from "ioredis";
import { answerWith } from "./bull-commands.ts";
import type { BullLane, Reach } from "./bull-commands.ts";
import { errorOf } from "./errors-of.ts";
import type { AddedJob, End, FlowNode, Settings } from "./operation.ts";
import type { Answer } from "./side.ts";

/** Locks outlast a sequence: an operation takes them away. */
export const LOCK_MS = 600_000;

/** The main lane of a side, by BullMQ's own classes. */
export interface LaneOfBull extends BullLane {
  readonly prefix: string;
  close(): Promise<void>;
}

export async function openLane(client: Redis, prefix: string, settings: Settings): Promise<LaneOfBull> {
  // A backend reads the options of a worker, too.
  const workerOptions = {
    lockDuration: LOCK_MS,
    limiter: settings.limiter,
    metrics: settings.metrics === undefined ? undefined : { maxDataPoints: settings.metrics },
    maxStalledCount: 1,
    stalledInterval: 1,
  };
  const options: QueueOptions = { connection: client, prefix, skipMetasUpdate: true, ...workerOptions };
  const queue = new Queue("main", options);
  const flows = new FlowProducer({ connection: client, prefix });
  await queue.waitUntilReady();
  if (settings.maxEvents !== undefined)
    await client.hset(queue.toKey("meta"), "opts.maxLenEvents", settings.maxEvents);
  const close = async (): Promise<void> => {
    await flows.close();
    await queue.close();
  };
  return {
    prefix,
    queue,
    backend: queue.backend,
    flows,
    close,
    flowOf,
    add: (jobs) => addAll(queue, prefix, jobs),
    end: (end, time) => endJob(queue, end, time),
    reach: (operation) => reach(queue, client, operation),
    comparable: (record) => record,
  };
}

/** Returns a job's options with the side's own name of its parent. */
export function optionsOf({ opts, parent }: AddedJob, prefix: string): JobsOptions {
  return parent === undefined ? opts : { ...opts, parent: { id: parent, queue: `${prefix}:main` } };
}

async function addAll(queue: Queue, prefix: string, jobs: readonly AddedJob[]): Promise<Answer> {
  const results: unknown[] = [];
  for (const job of jobs) {
    try {
      const [added] = await queue.addBulk([{ name: job.name, data: job.data, opts: optionsOf(job, prefix) }]);
      const id: unknown = added?.id;
      results.push(typeof id === "number" ? { code: id } : id);
    } catch (error) {
      results.push(errorOf(error));
    }
  }
  return answerWith(results);
}

function flowOf({ lane, name, data, opts, children }: FlowNode): FlowJob {
  const own: FlowJob = { name, queueName: lane, data, opts };
  return children.length === 0 ? own : { ...own, children: children.map(flowOf) };
}

/** BullMQ's method that makes the values of its script for an end; protected, but its classes call nothing else. */
interface EndMaker {
  moveToFinishedArgs(
    job: { readonly id: string; readonly opts: JobsOptions },
    value: string,
    property: "returnvalue" | "failedReason",
    keep: KeepJobs,
    target: "completed" | "failed",
    token: string,
    timestamp: number,
    fetchNext: boolean,
    fields: Record<string, unknown> | undefined,
  ): (string | number | boolean | Buffer)[];
}

async function endJob(
  { backend }: Queue,
  { id, token, outcome, text, stacktrace, keep, attempts }: End,
  time: number,
): Promise<unknown> {
  const maker = backend as unknown as EndMaker;
  const isFailed = outcome === "failed";
  const args = maker.moveToFinishedArgs(
    { id, opts: { attempts } },
    text,
    isFailed ? "failedReason" : "returnvalue",
    keep,
    outcome,
    token,
    time,
    false,
    isFailed ? { failedReason: text, stacktrace } : undefined,
  );
  return await backend.moveToFinished(id, args);
}

async function reach(queue: Queue, client: Redis, operation: Reach): Promise<unknown> {
  switch (operation.kind) {
    case "old marker":
      return await (operation.isNext
        ? client.rpush(queue.toKey("wait"), "0:0")
        : client.lpush(queue.toKey("wait"), "0:0"));
    case "expire limit":
      return await client.del(queue.toKey("limiter"));
    case "recover stalled":
      await client.del(queue.toKey("stalled-check"));
      await queue.backend.moveStalledJobsToWait();
      return await client.del(queue.toKey("stalled-check"));
    case "lose lock":
      return await client.del(queue.toKey(`${operation.id}:lock`));
    case "leave active list":
      return await client.lrem(queue.toKey("active"), 0, operation.id);
    case "lose priority":
      return await client.hdel(queue.toKey(operation.id), "priority");
  }
}
