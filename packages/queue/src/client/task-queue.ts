import { currentDeadline, getEventLoop } from "@taskloom/loop";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { uuidv7 } from "./uuidv7.ts";
import { type TaskDefinition, isTaskDefinition } from "../definition/define-task.ts";
import type { Engine } from "../engines/engine.ts";
import { defaultEngine, openEngine } from "../engines/open-engine.ts";
import { QueueClosedError, TaskArgumentsError, TaskOptionsError } from "../errors.ts";
import { type Lane, jobId, laneOfJobId, lanes } from "../lane.ts";
import { encodeArguments } from "../wire/job-data.ts";
import { JobClient, type JobSummary } from "./job-client.ts";
import { RemoteTask } from "./remote-task.ts";
import { type SubmitOptions, type Submission, keepByDefault } from "./submission.ts";

/** Where a queue is and what it is called. */
export interface TaskQueueOptions {
  /** An engine's URL. Default `"embedded:.taskloom"`. */
  readonly engine?: string | Engine;
  /** The queue's name; workers take the queues that they are given by name. Default `"default"`. */
  readonly name?: string;
}

/** How many jobs of a queue are in each state. A cancelled job counts as neither completed nor failed. */
export interface QueueCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly completed: number;
  readonly failed: number;
}

/** Submits with options that hold for each call; made by {@link TaskQueue.with}. */
export interface Submitter {
  submit<A extends unknown[], R>(task: TaskDefinition<A, R>, ...args: A): RemoteTask<Awaited<R>>;
}

/**
 * A queue of tasks that workers run, wherever they are.
 *
 * @example
 * ```ts
 * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
 * import { mkdtemp } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const engine = `embedded:${await mkdtemp(`${tmpdir()}/taskloom-`)}`;
 * const add = defineTask({ name: "add" }, async (a: number, b: number) => a + b);
 *
 * await using queue = new TaskQueue({ engine });
 * const worker = new TaskWorker({ engine, tasks: [add] }).run();
 * console.log(await queue.submit(add, 1, 2)); // 3
 * worker.cancel();
 * ```
 */
export class TaskQueue {
  readonly name: string;
  readonly engine: Engine;
  readonly #ownsEngine: boolean;
  readonly #client: JobClient;
  #closed = false;

  /** @throws {@link EngineUrlError} for a URL that names no engine, {@link TaskOptionsError} for an impossible name. */
  constructor({ engine = defaultEngine, name = "default" }: TaskQueueOptions = {}) {
    if (!/^[\w-]{1,64}$/.test(name)) {
      throw new TaskOptionsError(
        `Expected a queue's \`name\` to be 1 to 64 letters, digits, '_' or '-', got ${JSON.stringify(name)}.`,
      );
    }
    this.name = name;
    this.#ownsEngine = typeof engine === "string";
    this.engine = typeof engine === "string" ? openEngine(engine) : engine;
    this.#client = new JobClient(this.engine, name);
  }

  /** Connects now rather than at the first submission. Throws an EngineUnavailableError when nobody answers. */
  connect(): Promise<void> {
    return this.engine.connect();
  }

  /**
   * Submits a call of a task. All submissions of one turn travel together.
   *
   * The enclosing `timeout()` scope, if there is one, becomes the job's deadline.
   *
   * @returns a Task that ends as the job ends: with its value, its error, or cancelled.
   * @throws {@link TaskOptionsError} when `task` was not made by `defineTask`.
   */
  submit<A extends unknown[], R>(task: TaskDefinition<A, R>, ...args: A): RemoteTask<Awaited<R>> {
    return this.#submit(task, args, {});
  }

  /** The same queue with options for each submission. */
  with(options: SubmitOptions): Submitter {
    checkSubmitOptions(options);
    return { submit: (task, ...args) => this.#submit(task, args, options) };
  }

  #submit<A extends unknown[], R>(
    task: TaskDefinition<A, R>,
    args: A,
    options: SubmitOptions,
  ): RemoteTask<Awaited<R>> {
    if (this.#closed)
      throw new QueueClosedError(`Queue ${this.name} is closed; make a new TaskQueue to submit to it.`);
    if (!isTaskDefinition(task)) {
      throw new TaskOptionsError(
        "Expected a task made by defineTask: a worker has no way to find a plain function.",
      );
    }
    const { runsOn: lane, name, version } = task.task;
    const id = jobId(lane, options.id ?? uuidv7());
    const remote = new RemoteTask<Awaited<R>>(id, name, this.#client, this.engine.isLocal);
    const timeout = options.timeout ?? task.task.timeout;
    const left = timeLeft(options.deadline);
    const collect = (checked: readonly unknown[]): void => {
      const submission: Submission = {
        lane,
        id,
        name,
        data: {
          v: 1,
          version,
          args: encodeArguments(checked),
          reply: this.engine.replies.address,
          ...(left === undefined ? {} : { deadline: Math.ceil(this.engine.now() + left) }),
          ...(timeout === undefined ? {} : { timeout }),
        },
        options: {
          attempts: options.attempts ?? task.task.attempts,
          removeOnComplete: { age: Math.ceil((options.keep?.completed ?? keepByDefault.completed) / 1_000) },
          removeOnFail: { age: Math.ceil((options.keep?.failed ?? keepByDefault.failed) / 1_000) },
          ...(task.task.backoff === undefined ? {} : { backoff: { ...task.task.backoff } }),
          ...(options.delay === undefined ? {} : { delay: options.delay }),
          ...(options.priority === undefined ? {} : { priority: options.priority }),
        },
        tasks: [remote],
        mayExist: options.id !== undefined,
        addedAt: undefined,
      };
      this.#client.submit(submission);
      if (options.deadline !== undefined) this.#expireAt(remote, options.deadline);
    };
    checkArguments(task, args, collect, (error) => remote.fail(error));
    return remote;
  }

  #expireAt(remote: RemoteTask<unknown>, deadline: number): void {
    const timer = getEventLoop().callLater(deadline, () => this.#client.expire(remote.id, deadline));
    remote.addDoneCallback(() => timer.cancel());
  }

  /**
   * A Task for a job that was submitted before, by this process or another: by its id, or by its task and the id that
   * the submitter chose. Cancelling it cancels the job.
   *
   * It fails with a {@link JobLostError} when the engine knows no such job.
   *
   * @throws {@link TaskOptionsError} when the id alone does not tell its lane.
   */
  attach(id: string): RemoteTask<unknown>;
  attach<A extends unknown[], R>(task: TaskDefinition<A, R>, id: string): RemoteTask<Awaited<R>>;
  attach(taskOrId: TaskDefinition | string, chosen?: string): RemoteTask<unknown> {
    const id = typeof taskOrId === "string" ? taskOrId : jobId(taskOrId.task.runsOn, chosen ?? "");
    const lane = laneOfJobId(id);
    if (lane === undefined) {
      throw new TaskOptionsError(
        `${JSON.stringify(id)} is not a job's id (loop.… or thread.…); for one that you chose, give the task too: attach(task, id).`,
      );
    }
    const name = typeof taskOrId === "string" ? "attached" : taskOrId.task.name;
    const remote = new RemoteTask<unknown>(id, name, this.#client, this.engine.isLocal);
    this.#client.attach({
      lane,
      id,
      name,
      data: { v: 1, version: 1, args: [] },
      options: {},
      tasks: [remote],
      mayExist: true,
      addedAt: undefined,
    });
    return remote;
  }

  /** Where each of many jobs is, by full id, in a round trip or two. */
  async states(ids: readonly string[]): Promise<Map<string, JobSummary>> {
    await this.engine.connect();
    return await this.#client.states(ids);
  }

  /** How many jobs are in each state, both lanes together or one alone. */
  async counts(lane?: Lane): Promise<QueueCounts> {
    await this.engine.connect();
    const total = { waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0 };
    for (const each of lane === undefined ? lanes : [lane]) {
      const counts = await this.#client.lane(each).getJobCounts();
      total.waiting +=
        (counts["waiting"] ?? counts["wait"] ?? 0) + (counts["prioritized"] ?? 0) + (counts["paused"] ?? 0);
      total.active += counts["active"] ?? 0;
      total.delayed += counts["delayed"] ?? 0;
      total.completed += counts["completed"] ?? 0;
      total.failed += counts["failed"] ?? 0;
    }
    return total;
  }

  /** Workers take no more jobs of this queue, in either lane, until {@link resume}; what runs goes on. */
  async pause(): Promise<void> {
    await this.engine.connect();
    await Promise.all(lanes.map((lane) => this.#client.lane(lane).pause()));
  }

  /** Lets workers take jobs again. */
  async resume(): Promise<void> {
    await this.engine.connect();
    await Promise.all(lanes.map((lane) => this.#client.lane(lane).resume()));
  }

  /** Lets go of the engine. Pending tasks fail with a {@link QueueClosedError}; their jobs go on. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#client.close();
    if (this.#ownsEngine) await this.engine.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What is left until the nearest end: the submission's own deadline or that of the enclosing `timeout()` scope. */
function timeLeft(own: number | undefined): number | undefined {
  const scope = currentDeadline();
  const ofScope = scope === undefined ? undefined : Math.max(0, scope - getEventLoop().time());
  if (own === undefined || ofScope === undefined) return own ?? ofScope;
  return Math.min(own, ofScope);
}

function checkSubmitOptions({ id, delay, deadline, priority, attempts, timeout }: SubmitOptions): void {
  if (id !== undefined && !/^[^:\s]{1,200}$/.test(id)) {
    throw new TaskOptionsError(
      `Expected \`id\` to be 1 to 200 characters without ':' and white space, got ${JSON.stringify(id)}.`,
    );
  }
  for (const [option, value] of Object.entries({ delay, deadline, timeout })) {
    if (value !== undefined && !(value >= 0 && Number.isFinite(value))) {
      throw new TaskOptionsError(
        `Expected \`${option}\` to be a number of milliseconds from 0, got ${String(value)}.`,
      );
    }
  }
  for (const [option, value] of Object.entries({ priority, attempts })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1 && value < 2 ** 21)) {
      throw new TaskOptionsError(`Expected \`${option}\` to be a whole number from 1, got ${String(value)}.`);
    }
  }
}

/** Checks arguments against the task's schema, if it has one; at once when the schema answers at once. */
function checkArguments(
  { task }: TaskDefinition<never, unknown>,
  args: readonly unknown[],
  accept: (args: readonly unknown[]) => void,
  refuse: (error: unknown) => void,
): void {
  const conclude = (result: StandardSchemaV1.Result<readonly unknown[]>): void => {
    try {
      if (result.issues === undefined) accept(result.value);
      else refuse(new TaskArgumentsError(task.name, result.issues));
    } catch (error) {
      refuse(error);
    }
  };
  const result = task.args === undefined ? { value: args } : task.args["~standard"].validate(args);
  if (result instanceof Promise) result.then(conclude, refuse);
  else conclude(result);
}
