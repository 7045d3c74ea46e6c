import { FlowProducer, Job, Queue } from "bullmq";
import type { FlowJob, JobsOptions, PostgresQueueBackend } from "bullmq";
import type pg from "pg";
import { anyBackend } from "../../../packages/queue/src/bullmq/any-backend.ts";
import { LOCK_MS } from "./bull-operations.ts";
import { errorOf } from "./errors-of.ts";
import type { AddedJob, Claim, End, FlowNode, Operation, Settings } from "./operation.ts";
import type { Answer } from "./side.ts";

/** The lanes of a sequence in one schema, by BullMQ's own classes. */
export interface PostgresLane {
  readonly queue: Queue;
  /** The name of the lane that only has parents. */
  readonly other: string;
  readonly backend: PostgresQueueBackend;
  readonly flows: FlowProducer;
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
  return { queue, other: name.replace("main", "other"), backend, flows, pool, close };
}

/** Returns a job's options with the lane of its parent. */
export function optionsOf({ opts, parent }: AddedJob, lane: string): JobsOptions {
  return parent === undefined ? opts : { ...opts, parent: { id: parent, queue: lane } };
}

/** Returns the text of an end as PostgreSQL stores it: a result must be JSON. */
export function textOf({ outcome, text }: Pick<End, "outcome" | "text">): string {
  return outcome === "failed" || /^["{[]|^null$/.test(text) ? text : JSON.stringify(text);
}

const plain = (result: unknown): Answer => ({ results: [result], claimed: [], isLimited: false, nextDue: 0 });

/** Executes an operation through BullMQ's own commands, one by one. */
export async function bullApply(lane: PostgresLane, operation: Operation, now: number): Promise<Answer> {
  switch (operation.kind) {
    case "add":
      return await addAll(lane, operation.jobs);
    case "turn":
      return await turn(lane, operation.ends, operation.claim, now);
    case "flow":
      await lane.flows.add(flowOf(lane, operation.flow));
      return plain(null);
    case "advance":
      return plain(null);
    default:
      await change(lane, operation);
      return plain(null);
  }
}

async function addAll({ queue }: PostgresLane, jobs: readonly AddedJob[]): Promise<Answer> {
  const results: unknown[] = [];
  for (const job of jobs) {
    const added = Job.create(queue, job.name, job.data, optionsOf(job, queue.name));
    results.push(
      await added.then(
        ({ id }) => id,
        (error) => errorOf(error),
      ),
    );
  }
  return { results, claimed: [], isLimited: false, nextDue: 0 };
}

function flowOf(lane: PostgresLane, { lane: place, name, data, opts, children }: FlowNode): FlowJob {
  const own: FlowJob = { name, queueName: place === "main" ? lane.queue.name : lane.other, data, opts };
  return children.length === 0 ? own : { ...own, children: children.map((child) => flowOf(lane, child)) };
}

async function turn(
  lane: PostgresLane,
  ends: readonly End[],
  claim: Claim | undefined,
  now: number,
): Promise<Answer> {
  const results: unknown[] = [];
  for (const end of ends)
    results.push(
      await endJob(lane, end, now - end.ago).then(
        () => null,
        (error) => errorOf(error),
      ),
    );
  const claimed: { id: string; record: unknown }[] = [];
  let [isLimited, nextDue] = [false, 0];
  for (let taken = 0; taken < (claim?.count ?? 0); taken++) {
    const [record, id, limitedFor, due]: unknown[] = await lane.backend.moveToActive(
      claim!.token,
      claim!.workerName,
    );
    if (record == null) {
      isLimited = Number(limitedFor) > 0;
      nextDue = Number(due);
      break;
    }
    claimed.push({ id: String(id), record: comparable(record) });
  }
  return { results, claimed, isLimited, nextDue };
}

/** Stores an end at a time. The command reads the time before it waits for anything. */
async function endJob({ queue, backend }: PostgresLane, end: End, time: number): Promise<void> {
  const job = new Job(queue, "job", {}, {}, end.id);
  const { token, keep, stacktrace } = end;
  const clock = Date.now;
  Date.now = () => time;
  const stored =
    end.outcome === "failed"
      ? backend.moveToFailed(job, end.text, keep, token, false, { stacktrace })
      : backend.moveToCompleted(job, JSON.parse(textOf(end)), keep, token, false);
  Date.now = clock;
  await stored;
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

type Change = Exclude<Operation, { kind: "add" | "turn" | "flow" | "advance" }>;

/** Executes an operation that is the same on both sides. */
async function change({ queue, backend, pool }: PostgresLane, operation: Change): Promise<unknown> {
  switch (operation.kind) {
    case "pause":
      return await queue.pause();
    case "resume":
      return await queue.resume();
    case "old marker":
      return undefined;
    case "expire limit":
      return await pool.query("DELETE FROM rate_limit WHERE queue = $1", [queue.name]);
    case "recover stalled":
      return await backend.moveStalledJobsToWait();
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
      return await changeJob({ queue, backend, pool }, operation);
  }
}

async function changeJob(
  { queue, backend, pool }: Pick<PostgresLane, "queue" | "backend" | "pool">,
  operation: Extract<Change, { id: string }>,
): Promise<unknown> {
  const { id, token } = operation;
  switch (operation.kind) {
    case "lose lock":
      return await pool.query(
        "UPDATE job SET lock_token = NULL, locked_until_ms = 1 WHERE queue = $1 AND id = $2 AND state = 'active'",
        [queue.name, id],
      );
    case "lose priority":
    case "leave active list":
      return undefined;
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
