import { FlowProducer, Job, Queue, createPostgresBackend } from "bullmq";
import type { JobJson, JobsOptions } from "bullmq";
import pg from "pg";
import type { ClaimTerms, RunEnd, TurnAnswer } from "../../../packages/queue/src/contract/lane-driver.ts";
import type { NewJob } from "../../../packages/queue/src/contract/lane-queue.ts";
import { anyBackend } from "../../../packages/queue/src/bullmq/any-backend.ts";
import { PostgresDriver } from "../../../packages/queue/src/engines/postgres/driver/postgres-driver.ts";
import { installFunctions } from "../../../packages/queue/src/engines/postgres/driver/install-functions.ts";
import { testPool } from "../../support/postgres.ts";
import type { Operation, PlannedEnd } from "./postgres-program.ts";

export type FlowChildOptions = JobsOptions;

/** The clock of all sides. The tests replace Date.now by it. */
export const clock = { now: 1_700_000_000_000 };

const LOCK_MS = 2_000;
/** The tables of BullMQ with the columns by which their rows are ordered. */
const TABLES: Readonly<Record<string, string>> = {
  job: "id",
  job_log: "job_id, idx",
  job_dependency: "parent_id, child_key",
  event: "id",
  metrics: "kind",
  rate_limit: "queue",
  dedup: "dedup_id",
  dedup_next: "dedup_id",
  scheduler: "scheduler_id",
  meta: "field",
};

/** One side of a comparison: a queue in a schema of its own, on which operations are applied. */
export interface Side {
  apply(operation: Operation): Promise<unknown>;
  /** Returns all rows of the queue, without the times that the server reads from its own clock. */
  snapshot(): Promise<unknown>;
  close(): Promise<void>;
}

/** The tables of BullMQ in a schema of their own, for the sides of many sequences. */
export interface Schema {
  readonly kind: "BullMQ" | "driver";
  open(name: string): Promise<Side>;
  close(): Promise<void>;
}

/** Creates BullMQ's tables and our functions in a schema. */
export async function createSchema(kind: Schema["kind"], url: string): Promise<Schema> {
  const schema = kind === "BullMQ" ? "single" : "turns";
  const pool = testPool({ connectionString: url, options: `-c search_path=${schema}`, max: 2 });
  const connection = { connectionString: url, schema, migrate: true, max: 2 };
  const first = createPostgresBackend("first", { connection });
  await first.waitUntilReady();
  await first.close();
  if (kind === "driver") {
    const session = await pool.connect();
    await installFunctions({ query: (text, params) => session.query(text, params && [...params]) }, schema);
    session.release();
  }
  return {
    kind,
    open: (name) => Promise.resolve(new PostgresSide(kind, name, schema, connection, pool)),
    close: () => pool.end(),
  };
}

class PostgresSide implements Side {
  readonly #pool: pg.Pool;
  readonly #queue: Queue;
  readonly #backend: ReturnType<typeof createPostgresBackend>;
  readonly #flows: FlowProducer;
  readonly #driver: PostgresDriver | undefined;
  #running: { readonly id: string; readonly token: string }[] = [];

  constructor(
    kind: Schema["kind"],
    name: string,
    schema: string,
    connection: pg.PoolConfig & { schema: string },
    pool: pg.Pool,
  ) {
    this.#pool = pool;
    const options = { connection: { ...connection, migrate: false }, lockDuration: LOCK_MS, name: "worker" };
    const backend = createPostgresBackend(name, options);
    this.#backend = backend;
    const factory = anyBackend(() => backend);
    this.#queue = new Queue(name, { connection: {}, skipMetasUpdate: true }, factory);
    this.#flows = new FlowProducer({ connection: {} }, factory);
    if (kind === "driver") {
      this.#driver = new PostgresDriver({
        pool: { query: (text, params) => pool.query(text, params && [...params]) },
        schema,
        queue: this.#queue,
      });
    }
  }

  async apply(operation: Operation): Promise<unknown> {
    try {
      return await this.#apply(operation);
    } catch (error) {
      return textOf(error);
    }
  }

  async #apply(operation: Operation): Promise<unknown> {
    switch (operation.kind) {
      case "add":
        return (await this.#add(operation.jobs)).map(textOf);
      case "flow":
        return await this.#addFlow(operation.id, operation.children);
      case "turn":
        return await this.#turn(operation.ends, operation.count, operation.token);
      case "wait":
        clock.now += operation.time;
        return undefined;
      case "pause":
        return operation.isPaused ? await this.#queue.pause() : await this.#queue.resume();
      case "concurrency":
        return operation.most === undefined
          ? await this.#queue.removeGlobalConcurrency()
          : await this.#queue.setGlobalConcurrency(operation.most);
      case "limit":
        return operation.most === undefined
          ? await this.#queue.removeGlobalRateLimit()
          : await this.#queue.setGlobalRateLimit(operation.most, operation.time);
      case "events":
        return await this.#backend.setQueueMeta({ "opts.maxLenEvents": operation.most });
      case "recover":
        return await this.#backend.moveStalledJobsToWait();
      default:
        return await this.#moveRunning(operation);
    }
  }

  async #moveRunning(operation: Operation & { readonly place: number }): Promise<unknown> {
    const run = this.#running.splice(operation.place % Math.max(1, this.#running.length), 1)[0];
    if (run === undefined) return undefined;
    if (operation.kind === "retry") return await this.#backend.retryJob(run.id, false, run.token);
    if (operation.kind === "delay")
      return await this.#backend.moveToDelayed(run.id, clock.now, operation.time, run.token);
    const isMoved = await this.#backend.moveToWaitingChildren(run.id, run.token);
    if (!isMoved) this.#running.push(run);
    return isMoved;
  }

  async #add(jobs: readonly NewJob[]): Promise<(string | Error)[]> {
    if (this.#driver !== undefined) return await this.#driver.add(jobs);
    const answers: (string | Error)[] = [];
    for (const { name, data, opts } of jobs) {
      const job = await Job.create(this.#queue, name, data, opts);
      answers.push(job.id ?? "");
    }
    return answers;
  }

  async #addFlow(id: string, children: readonly JobsOptions[]): Promise<unknown> {
    const queueName = this.#queue.name;
    const { job } = await this.#flows.add({
      name: "parent",
      queueName,
      data: {},
      opts: { jobId: id },
      children: children.map((opts) => ({ name: "child", queueName, data: {}, opts })),
    });
    return job.id;
  }

  async #turn(plans: readonly PlannedEnd[], count: number, token: string): Promise<unknown> {
    const ends = plans.map((plan) => this.#endOf(plan));
    const claim = { count, token, lockDuration: LOCK_MS, workerName: "worker" };
    const answer =
      this.#driver === undefined
        ? await this.#singleCommands(ends, claim)
        : await this.#driver.turn(ends, count === 0 ? undefined : claim);
    const ended = new Set(ends.filter((_, index) => answer.refusals[index] === undefined).map(({ id }) => id));
    this.#running = this.#running.filter(({ id }) => !ended.has(id));
    this.#running.push(...answer.jobs.map(({ id }) => ({ id, token })));
    return {
      ...answer,
      refusals: answer.refusals.map(textOf),
      jobs: answer.jobs.map(({ id, record }) => ({ id, record: parsed(record) })),
    };
  }

  #endOf(plan: PlannedEnd): RunEnd {
    const run = this.#running[plan.place % Math.max(1, this.#running.length)];
    clock.now += plan.after;
    return {
      id: run === undefined || plan.fault === "missing job" ? `none-${plan.place}` : run.id,
      token: plan.fault === "any token" ? "0" : plan.fault === "foreign token" ? "foreign" : (run?.token ?? "x"),
      outcome: plan.failed ? "failed" : "completed",
      text: plan.text,
      stacktrace: plan.stacktrace,
      finishedOn: clock.now,
      keep: plan.keep,
      opts: {},
    };
  }

  /** Runs a turn by BullMQ's own commands. */
  async #singleCommands(ends: readonly RunEnd[], { count, token }: ClaimTerms): Promise<TurnAnswer> {
    const refusals: (Error | undefined)[] = [];
    const { now } = clock;
    for (const end of ends) {
      clock.now = end.finishedOn;
      refusals.push(await this.#endSingle(end));
    }
    clock.now = now;
    const jobs: { id: string; record: JobJson }[] = [];
    let [limitedFor, nextDue] = [0, 0];
    while (jobs.length < count) {
      const [record, id, limit, due] = await this.#backend.moveToActive(token, "worker");
      if (record) jobs.push({ id, record });
      else {
        [limitedFor, nextDue] = [limit, due];
        break;
      }
    }
    return { refusals, jobs, limitedFor, nextDue };
  }

  async #endSingle({ id, token, outcome, text, stacktrace, keep }: RunEnd): Promise<Error | undefined> {
    const job = new Job(this.#queue, "job", {}, {}, id);
    try {
      if (outcome === "completed") await this.#backend.moveToCompleted(job, JSON.parse(text), keep, token, false);
      else await this.#backend.moveToFailed(job, text, keep, token, false, { stacktrace });
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
    return undefined;
  }

  async snapshot(): Promise<unknown> {
    const tables: Record<string, unknown> = {};
    for (const [table, order] of Object.entries(TABLES)) {
      const queue = table === "job_dependency" ? "parent_queue" : "queue";
      const { rows } = await this.#pool.query(
        `SELECT to_jsonb(row) - 'created_at_ms' AS row FROM ${table} AS row WHERE ${queue} = $1 ORDER BY ${order}`,
        [this.#queue.name],
      );
      tables[table] = rows.map(({ row }) => row);
    }
    return tables;
  }

  async close(): Promise<void> {
    await this.#queue.close();
    await this.#backend.close();
  }
}

/** Returns an answer in the form in which both sides are compared. */
function textOf(answer: unknown): unknown {
  if (!(answer instanceof Error)) return answer;
  return `${"code" in answer ? answer.code : ""} ${answer.message}`;
}

/** Returns a job with its texts parsed: the two sides separate the parts of a JSON text differently. */
function parsed({ data, stacktrace, returnvalue, ...record }: JobJson): unknown {
  const parse = (text: string | undefined): unknown => (text === undefined ? undefined : JSON.parse(text));
  return { ...record, data: parse(data), stacktrace: parse(stacktrace), returnvalue: parse(returnvalue) };
}
