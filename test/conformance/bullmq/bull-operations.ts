import { FlowProducer, Queue } from "bullmq";
import type { FlowJob, JobsOptions, KeepJobs, QueueOptions } from "bullmq";
import type { Redis } from "ioredis";
import { errorOf } from "./errors-of.ts";
import type { AddedJob, Claim, End, FlowNode, Operation, Settings } from "./operation.ts";
import type { Answer } from "./side.ts";

/** Locks outlast a sequence: an operation takes them away. */
export const LOCK_MS = 600_000;

/** The main lane of a side, by BullMQ's own classes. */
export interface LaneOfBull {
  readonly prefix: string;
  readonly queue: Queue;
  readonly flows: FlowProducer;
  readonly client: Redis;
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
  return { prefix, queue, flows, client, close };
}

/** Returns a job's options with the side's own name of its parent. */
export function optionsOf({ opts, parent }: AddedJob, prefix: string): JobsOptions {
  return parent === undefined ? opts : { ...opts, parent: { id: parent, queue: `${prefix}:main` } };
}

const plain = (result: unknown): Answer => ({ results: [result], claimed: [], isLimited: false, nextDue: 0 });

/** Executes an operation through BullMQ's own commands, one by one. */
export async function bullApply(lane: LaneOfBull, operation: Operation, now: number): Promise<Answer> {
  switch (operation.kind) {
    case "add":
      return await addAll(lane, operation.jobs);
    case "turn":
      return await turn(lane, operation.ends, operation.claim, now);
    case "flow":
      await lane.flows.add(flowOf(operation.flow));
      return plain(null);
    case "advance":
      return plain(null);
    default:
      await change(lane, operation);
      return plain(null);
  }
}

async function addAll({ queue, prefix }: LaneOfBull, jobs: readonly AddedJob[]): Promise<Answer> {
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
  return { results, claimed: [], isLimited: false, nextDue: 0 };
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

async function turn(
  { queue: { backend } }: LaneOfBull,
  ends: readonly End[],
  claim: Claim | undefined,
  now: number,
): Promise<Answer> {
  const maker = backend as unknown as EndMaker;
  const results: unknown[] = [];
  for (const { id, token, outcome, text, stacktrace, ago, keep, attempts } of ends) {
    const isFailed = outcome === "failed";
    const args = maker.moveToFinishedArgs(
      { id, opts: { attempts } },
      text,
      isFailed ? "failedReason" : "returnvalue",
      keep,
      outcome,
      token,
      now - ago,
      false,
      isFailed ? { failedReason: text, stacktrace } : undefined,
    );
    results.push(
      await backend.moveToFinished(id, args).then(
        () => null,
        (error) => errorOf(error),
      ),
    );
  }
  const claimed: { id: string; record: unknown }[] = [];
  let [isLimited, nextDue] = [false, 0];
  for (let taken = 0; taken < (claim?.count ?? 0); taken++) {
    const [record, id, limitedFor, due]: unknown[] = await backend.moveToActive(
      claim!.token,
      claim!.workerName,
    );
    if (record == null) {
      isLimited = Number(limitedFor) > 0;
      nextDue = Number(due);
      break;
    }
    claimed.push({ id: String(id), record });
  }
  return { results, claimed, isLimited, nextDue };
}

type Change = Exclude<Operation, { kind: "add" | "turn" | "flow" | "advance" }>;

/** Executes an operation that is the same on both sides. */
async function change({ queue, client }: LaneOfBull, operation: Change): Promise<unknown> {
  const { backend } = queue;
  switch (operation.kind) {
    case "pause":
      return await queue.pause();
    case "resume":
      return await queue.resume();
    case "old marker":
      return await (operation.isNext
        ? client.rpush(queue.toKey("wait"), "0:0")
        : client.lpush(queue.toKey("wait"), "0:0"));
    case "expire limit":
      return await client.del(queue.toKey("limiter"));
    case "recover stalled":
      await client.del(queue.toKey("stalled-check"));
      await backend.moveStalledJobsToWait();
      return await client.del(queue.toKey("stalled-check"));
    case "remove limits":
      await queue.removeGlobalRateLimit();
      return await queue.removeGlobalConcurrency();
    case "limit rate":
      return await queue.setGlobalRateLimit(operation.max, operation.duration);
    case "limit concurrency":
      return await queue.setGlobalConcurrency(operation.count);
    case "clean":
      return await queue.clean(0, 3, operation.state);
    default:
      return await changeJob({ queue, client }, operation);
  }
}

async function changeJob(
  { queue, client }: Pick<LaneOfBull, "queue" | "client">,
  operation: Extract<Change, { id: string }>,
): Promise<unknown> {
  const { backend } = queue;
  const { id, token } = operation;
  switch (operation.kind) {
    case "lose lock":
      return await client.del(queue.toKey(`${id}:lock`));
    case "leave active list":
      return await client.lrem(queue.toKey("active"), 0, id);
    case "lose priority":
      return await client.hdel(queue.toKey(id), "priority");
    case "remove":
      return await queue.remove(id);
    case "promote":
      return await backend.promote(id);
    case "retry": {
      const job = await queue.getJob(id);
      return await job?.retry((await job.getState()) === "completed" ? "completed" : "failed");
    }
    case "log":
      return await backend.addLog(id, "a line");
    case "put back":
      return await backend.moveJobFromActiveToWait(id, token);
    case "retry later":
      return operation.delay < 300
        ? await backend.retryJob(id, false, token)
        : await backend.moveToDelayed(id, Date.now(), operation.delay, token);
    case "change delay":
      return await backend.changeDelay(id, operation.delay);
    case "change priority":
      return await backend.changePriority(id, operation.priority, operation.lifo);
  }
}
