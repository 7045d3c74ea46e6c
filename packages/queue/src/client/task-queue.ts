import { currentDeadline, getEventLoop, wait } from "@taskloom/loop";
import { captureContext } from "@taskloom/offload/context";
import type { FlowJob } from "bullmq";
import {
  type ResolvedTaskOptions,
  type TaskDefinition,
  isTaskDefinition,
} from "../definition/define-task.ts";
import type { Engine } from "../engines/engine.ts";
import type { FlowAdder } from "../engines/lane-queue.ts";
import { defaultEngine, openEngine } from "../engines/open-engine.ts";
import { JobLostError, QueueClosedError, TaskOptionsError } from "../errors.ts";
import { type Lane, jobId, laneOfJobId, laneQueueName, lanes, storedId } from "../lane.ts";
import { encodeValue } from "../wire/encode.ts";
import { type FlowData, type JobData, encodeArguments } from "../wire/job-data.ts";
import type { PackResult } from "../wire/pack.ts";
import { checkArguments, checkEach } from "./check-arguments.ts";
import { type FailureGroup, failedJob, groupFailures } from "./failures.ts";
import { type FlowTask, type TaskCall, childOptions } from "./flow.ts";
import { JobClient, type JobSummary } from "./job-client.ts";
import { RemoteMap, type RemoteMapOptions } from "./remote-map.ts";
import { RemoteTask } from "./remote-task.ts";
import { type Schedule, type ScheduleControl, type When, repeatOf, scheduleOf } from "./schedules.ts";
import { type Submission, jobOptions } from "./submission.ts";
import { type SubmitOptions, checkSubmitOptions } from "./submit-options.ts";
import { uuidv7 } from "./uuidv7.ts";

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
  readonly cancelled: number;
}

/** At most `max` jobs begin in `per` milliseconds, in each lane, all workers together. */
export interface RateLimit {
  readonly max: number;
  readonly per: number;
}

/** Submits with options that hold for each call; made by {@link TaskQueue.with}. */
export interface Submitter {
  submit<A extends unknown[], R>(task: TaskDefinition<A, R>, ...args: A): RemoteTask<Awaited<R>>;
  map<A extends unknown[], R>(
    task: TaskDefinition<A, R>,
    items: Iterable<NoInfer<A>> | AsyncIterable<NoInfer<A>>,
    options?: RemoteMapOptions,
  ): RemoteMap<Awaited<R>>;
  schedule<A extends unknown[], R>(
    id: string,
    when: When,
    task: TaskDefinition<A, R>,
    ...args: A
  ): Promise<Schedule>;
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
  #flows: FlowAdder | undefined;
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
    return {
      submit: (task, ...args) => this.#submit(task, args, options),
      map: (task, items, mapOptions) => this.#map(task, items, mapOptions, options),
      schedule: (id, when, task, ...args) => this.#schedule(id, when, task, args, options),
    };
  }

  #submit<A extends unknown[], R>(
    task: TaskDefinition<A, R>,
    args: A,
    options: SubmitOptions,
  ): RemoteTask<Awaited<R>> {
    this.#check(task);
    const id = jobId(task.task.runsOn, options.id ?? uuidv7());
    const remote = this.#remote<Awaited<R>>(id, task.task.name);
    const left = timeLeft(options.deadline);
    const context = captureContext();
    const collect = (checked: readonly unknown[]): void => {
      const data = this.#data(task.task, encodeArguments(checked), options, left, context);
      this.#client.submit(this.#submission(remote, task.task, data, options));
      if (options.deadline !== undefined) this.#expireAt(remote, options.deadline);
    };
    checkArguments(task.task, args, collect, (error) => remote.fail(error));
    return remote;
  }

  #check(task: TaskDefinition<never, unknown>): void {
    if (this.#closed)
      throw new QueueClosedError(`Queue ${this.name} is closed; make a new TaskQueue to submit to it.`);
    if (!isTaskDefinition(task)) {
      throw new TaskOptionsError(
        "Expected a task made by defineTask: a worker has no way to find a plain function.",
      );
    }
  }

  #remote<R>(id: string, name: string): RemoteTask<R> {
    return new RemoteTask<R>(id, name, this.#client, this.engine.isLocal);
  }

  #data(
    task: ResolvedTaskOptions,
    args: JobData["args"],
    options: SubmitOptions,
    left: number | undefined,
    context: unknown,
  ): JobData {
    const timeout = options.timeout ?? task.timeout;
    return {
      v: 1,
      version: task.version,
      args,
      reply: this.engine.replies.address,
      ...(left === undefined ? {} : { deadline: Math.ceil(this.engine.now() + left) }),
      ...(timeout === undefined ? {} : { timeout }),
      ...(context === undefined ? {} : { context: encodeValue(context) }),
    };
  }

  #submission(
    remote: RemoteTask<unknown>,
    task: ResolvedTaskOptions,
    data: JobData,
    options: SubmitOptions,
  ): Submission {
    return {
      lane: task.runsOn,
      id: remote.id,
      name: task.name,
      data,
      options: jobOptions(task, options),
      tasks: [remote],
      mayExist: options.id !== undefined,
      addedAt: undefined,
    };
  }

  /**
   * Calls a task with each of many lists of arguments, many calls packed into one job: for calls that are too small for
   * a job of their own. Results come in the order of the items, each with its own error; retries and `timeout` hold for
   * each item, and an item runs again only when its worker died.
   *
   * ```ts
   * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
   *
   * const square = defineTask({ name: "square" }, (n: number) => n * n);
   * const worker = new TaskWorker({ engine: "memory:", tasks: [square] }).run();
   * await using queue = new TaskQueue({ engine: "memory:" });
   * for await (const result of queue.map(square, [[1], [2], [3]])) console.log(result); // 1, 4, 9
   * worker.cancel();
   * ```
   */
  map<A extends unknown[], R>(
    task: TaskDefinition<A, R>,
    items: Iterable<NoInfer<A>> | AsyncIterable<NoInfer<A>>,
    options?: RemoteMapOptions,
  ): RemoteMap<Awaited<R>> {
    return this.#map(task, items, options, {});
  }

  #map<A extends unknown[], R>(
    task: TaskDefinition<A, R>,
    items: Iterable<A> | AsyncIterable<A>,
    mapOptions: RemoteMapOptions = {},
    options: SubmitOptions,
  ): RemoteMap<Awaited<R>> {
    this.#check(task);
    if (options.id !== undefined || options.deduplicate !== undefined)
      throw new TaskOptionsError("A map takes no `id` and no `deduplicate`: it is many jobs.");
    const left = timeLeft(options.deadline);
    const end = left === undefined ? undefined : this.engine.now() + left;
    const context = captureContext();
    return new RemoteMap(
      items,
      async (chunk) => {
        const { accepted, refused } = await checkEach(task.task, chunk);
        if (accepted.length === 0) return { size: chunk.length, refused, task: undefined };
        const remote = this.#remote<PackResult>(jobId(task.task.runsOn, uuidv7()), task.task.name);
        const now = end === undefined ? undefined : end - this.engine.now();
        const data = this.#data(task.task, encodeArguments(accepted), options, now, context);
        // The attempts are the items' own; a pack as a whole is run again only when its worker died.
        const submission = this.#submission(remote, task.task, { ...data, pack: true }, options);
        this.#client.submit(submission);
        return { size: chunk.length, refused, task: remote };
      },
      mapOptions,
    );
  }

  /**
   * Runs a task again and again, at the times of a cron pattern or at an interval, by whichever worker is free. The id
   * is the schedule's name: the same id again replaces it.
   *
   * ```ts
   * import { TaskQueue, defineTask } from "@taskloom/queue";
   *
   * const report = defineTask({ name: "report" }, async (kind: string) => kind);
   * await using queue = new TaskQueue({ engine: "memory:" });
   * const nightly = await queue.schedule("nightly", { cron: "0 3 * * *", timezone: "Europe/Berlin" }, report, "sales");
   * console.log(new Date(nightly.next ?? 0).getMinutes()); // 0
   * await nightly.remove();
   * ```
   *
   * @throws {@link TaskOptionsError} for a pattern, a zone or an interval that cannot be.
   */
  schedule<A extends unknown[], R>(
    id: string,
    when: When,
    task: TaskDefinition<A, R>,
    ...args: A
  ): Promise<Schedule> {
    return this.#schedule(id, when, task, args, {});
  }

  async #schedule(
    id: string,
    when: When,
    task: TaskDefinition<never, unknown>,
    args: readonly unknown[],
    options: SubmitOptions,
  ): Promise<Schedule> {
    this.#check(task);
    for (const option of ["id", "deduplicate", "delay", "deadline"] as const) {
      if (options[option] !== undefined)
        throw new TaskOptionsError(
          `A schedule takes no \`${option}\`: it makes jobs of its own, at its own times.`,
        );
    }
    const repeat = repeatOf(id, when);
    const { accepted, refused } = await checkEach(task.task, [args]);
    for (const error of refused.values()) throw error;
    await this.connect();
    const { runsOn, name } = task.task;
    const { reply: _nobodyWaits, ...data } = this.#data(
      task.task,
      encodeArguments(accepted[0] ?? []),
      options,
      undefined,
      undefined,
    );
    const opts = jobOptions(task.task, options);
    await this.#client.lane(runsOn).upsertJobScheduler(id, repeat, { name, data, opts });
    // It may have been in the other lane, when its task ran there.
    await this.#client.lane(runsOn === "loop" ? "thread" : "loop").removeJobScheduler(id);
    const stored = await this.#client.lane(runsOn).getJobScheduler(id);
    return scheduleOf(runsOn, stored ?? { key: id, name, template: { data, opts } }, this.#scheduleControl);
  }

  /** Every schedule of the queue, the next to run first. */
  async schedules(): Promise<Schedule[]> {
    await this.connect();
    const found = await Promise.all(
      lanes.map(async (lane) => {
        const stored = await this.#client.lane(lane).getJobSchedulers(0, -1, true);
        return stored.map((each) => scheduleOf(lane, each, this.#scheduleControl));
      }),
    );
    return found.flat().toSorted((a, b) => (a.next ?? Infinity) - (b.next ?? Infinity));
  }

  readonly #scheduleControl: ScheduleControl = {
    lane: (lane) => this.#client.lane(lane),
    run: (lane, { name, template }) => {
      const remote = this.#remote<unknown>(jobId(lane, uuidv7()), name);
      const data = {
        v: 1,
        version: 1,
        args: [],
        ...template?.data,
        reply: this.engine.replies.address,
      } as JobData;
      const { attempts, backoff, priority, removeOnComplete, removeOnFail } = template?.opts ?? {};
      const options = Object.fromEntries(
        Object.entries({ attempts, backoff, priority, removeOnComplete, removeOnFail }).filter(
          ([, value]) => value !== undefined,
        ),
      );
      this.#client.submit({
        lane,
        id: remote.id,
        name,
        data,
        options,
        tasks: [remote],
        mayExist: false,
        addedAt: undefined,
      });
      return remote;
    },
  };

  /**
   * Submits calls that wait for others, in one step: the children run first, each on any worker, and the parent when
   * all have ended, with their results in order as `currentJob().childResults`. Children can have children by `after`.
   *
   * A child that fails for good fails its parent with a {@link FlowChildFailedError}; one that is cancelled cancels it.
   * With `returnExceptions` the parent runs all the same, and finds the errors among the results. Cancelling the parent
   * cancels its children.
   *
   * ```ts
   * import { TaskQueue, TaskWorker, call, currentJob, defineTask } from "@taskloom/queue";
   *
   * const part = defineTask({ name: "part" }, async (n: number) => n * 10);
   * const sum = defineTask({ name: "sum" }, async () => {
   *   return (currentJob()?.childResults as number[]).reduce((total, each) => total + each, 0);
   * });
   * const worker = new TaskWorker({ engine: "memory:", tasks: [part, sum] }).run();
   * await using queue = new TaskQueue({ engine: "memory:" });
   * console.log(await queue.flow(call(sum), [call(part, 1), call(part, 2)])); // 30
   * worker.cancel();
   * ```
   */
  flow<R>(
    parent: TaskCall<R>,
    children: readonly TaskCall[] = [],
    { returnExceptions = false }: { readonly returnExceptions?: boolean } = {},
  ): FlowTask<R> {
    const left = timeLeft(parent.options.deadline);
    const context = captureContext();
    const submissions: Submission[] = [];
    const build = (
      node: TaskCall,
      isChild: boolean,
    ): { readonly job: FlowJob; readonly remote: RemoteTask<unknown> } => {
      this.#check(node.task);
      const { task } = node.task;
      const below = node.children.map((child) => build(child, true));
      const remote = this.#remote<unknown>(jobId(task.runsOn, uuidv7()), task.name);
      Object.assign(remote, { children: below.map((each) => each.remote) });
      let args: readonly unknown[] = node.args;
      checkArguments(
        task,
        node.args,
        (checked) => (args = checked),
        (error) => {
          throw error;
        },
      );
      const flow: FlowData = {
        queue: this.name,
        children: below.map((each) => each.remote.id),
        ...(returnExceptions ? { returnExceptions } : {}),
      };
      const data = this.#data(task, encodeArguments(args), node.options, left, context);
      const submission = this.#submission(
        remote,
        task,
        below.length === 0 ? data : { ...data, flow },
        node.options,
      );
      submissions.push(submission);
      if (below.length > 0) {
        remote.signal.addEventListener("abort", () => {
          const { message } = remote.signal.reason as Error;
          for (const each of below) each.remote.cancel(message);
        });
        // A child's end is its parent's to see: nobody else has to have looked at it.
        for (const each of below) each.remote.then(undefined, () => {});
      }
      const opts = {
        ...submission.options,
        jobId: remote.id,
        ...(isChild ? childOptions(returnExceptions) : {}),
      };
      const job = {
        name: task.name,
        queueName: laneQueueName(this.name, task.runsOn),
        data: submission.data,
        opts,
      };
      return {
        remote,
        job: below.length === 0 ? job : { ...job, children: below.map((each) => each.job) },
      };
    };
    const { job, remote } = build(parent.after(children), false);
    void this.#client.send(submissions, async () => {
      this.#flows ??= this.engine.openFlows();
      await this.#flows.add(job);
    });
    if (parent.options.deadline !== undefined) this.#expireAt(remote, parent.options.deadline);
    return remote as FlowTask<R>;
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
    if (lane === undefined) throw notAnId(id);
    const name = typeof taskOrId === "string" ? "attached" : taskOrId.task.name;
    const remote = this.#remote<unknown>(id, name);
    this.#client.attach(this.#attached(lane, remote, name));
    return remote;
  }

  #attached(lane: Lane, remote: RemoteTask<unknown>, name: string): Submission {
    const data: JobData = { v: 1, version: 1, args: [] };
    return {
      lane,
      id: remote.id,
      name,
      data,
      options: {},
      tasks: [remote],
      mayExist: true,
      addedAt: undefined,
    };
  }

  /** Where each of many jobs is, by full id, in a round trip or two. */
  async states(ids: readonly string[]): Promise<Map<string, JobSummary>> {
    await this.engine.connect();
    return await this.#client.states(ids);
  }

  /** How many jobs are in each state, both lanes together or one alone. A cancelled one is in none but `cancelled`. */
  async counts(lane?: Lane): Promise<QueueCounts> {
    await this.engine.connect();
    const total = { waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0, cancelled: 0 };
    for (const each of lane === undefined ? lanes : [lane]) {
      const [counts, cancelled] = await Promise.all([
        this.#client.lane(each).getJobCounts(...countedStates),
        this.engine.countCancelled(laneQueueName(this.name, each)),
      ]);
      for (const state of ["waiting", "wait", "paused", "prioritized", "waiting-children"])
        total.waiting += counts[state] ?? 0;
      total.active += counts["active"] ?? 0;
      total.delayed += counts["delayed"] ?? 0;
      total.completed += Math.max(0, (counts["completed"] ?? 0) - cancelled);
      total.failed += counts["failed"] ?? 0;
      total.cancelled += cancelled;
    }
    return total;
  }

  /** The jobs that failed for good and are still kept, grouped by task and error; the latest `limit` of each lane. */
  async failed({ limit = 1_000 }: { readonly limit?: number } = {}): Promise<FailureGroup[]> {
    await this.engine.connect();
    const found = await Promise.all(
      lanes.map(async (lane) => {
        const jobs = await this.#client.lane(lane).getJobs(["failed"], 0, limit - 1);
        return jobs.flatMap((job) =>
          job === undefined ? [] : [{ task: job.name, job: failedJob(lane, job) }],
        );
      }),
    );
    return groupFailures(found.flat());
  }

  /**
   * Runs a job that failed for good once more, with all of its attempts; gives its Task. That fails with a
   * {@link JobLostError} when there is no such job, and with a {@link TaskOptionsError} when it did not fail.
   */
  retry(id: string): RemoteTask<unknown> {
    const lane = laneOfJobId(id);
    if (lane === undefined) throw notAnId(id);
    const remote = this.#remote<unknown>(id, "retried");
    const submission = this.#attached(lane, remote, "retried");
    void this.#client.send([submission], async () => {
      const job = await this.#client.lane(lane).getJob(storedId(id));
      if (job === undefined)
        throw new JobLostError(`There is no job ${id} at ${this.engine.url} any more; submit it again.`);
      if ((await this.#client.lane(lane).getJobState(storedId(id))) !== "failed")
        throw new TaskOptionsError(`Job ${id} did not fail, so there is nothing to retry.`);
      // The reply goes to whoever waits now. The old deadline has passed, or will before it could help.
      const { deadline: _old, ...data } = job.data;
      await job.updateData({ ...data, reply: this.engine.replies.address });
      await job.retry("failed", { resetAttemptsMade: true, resetAttemptsStarted: true });
    });
    return remote;
  }

  /** Cancels every job that waits, delayed ones too unless told otherwise; what runs goes on. Gives how many. */
  async drain({ delayed = true }: { readonly delayed?: boolean } = {}): Promise<number> {
    await this.engine.connect();
    let drained = 0;
    for (const lane of lanes) {
      for (;;) {
        const states = ["wait", "prioritized", "paused", ...(delayed ? ["delayed" as const] : [])] as const;
        const jobs = await this.#client.lane(lane).getJobs([...states], 0, 499);
        const ids = jobs.flatMap((job) =>
          job?.id === undefined || job.id.startsWith("repeat:") ? [] : [job.id],
        );
        const ended = await Promise.all(ids.map((id) => this.#client.cancelStored(lane, id, "drained")));
        const count = ended.filter(Boolean).length;
        drained += count;
        if (count === 0) break;
      }
    }
    return drained;
  }

  /** Lets at most `max` jobs begin in `per` milliseconds, in each lane, all workers together; `undefined` lifts it. */
  async limit(limit: RateLimit | undefined): Promise<void> {
    if (
      limit !== undefined &&
      !(Number.isSafeInteger(limit.max) && limit.max > 0 && Number.isSafeInteger(limit.per) && limit.per > 0)
    ) {
      throw new TaskOptionsError(
        `Expected a rate limit to be { max, per }, whole numbers above 0, got ${JSON.stringify(limit)}.`,
      );
    }
    await this.engine.connect();
    await Promise.all(
      lanes.map((lane) =>
        limit === undefined
          ? this.#client.lane(lane).removeGlobalRateLimit()
          : this.#client.lane(lane).setGlobalRateLimit(limit.max, limit.per),
      ),
    );
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

  /**
   * Takes no more submissions, waits for what is pending here, and closes; with `cancelPending`, cancels that first. It
   * is what makes a queue an `Executor` of `@taskloom/loop`, for `loop.runInExecutor(queue, task, …)`.
   */
  async shutdown({ cancelPending = false }: { readonly cancelPending?: boolean } = {}): Promise<void> {
    const pending = this.#client.pendingTasks();
    this.#closed = true;
    if (cancelPending) for (const task of pending) task.cancel("the queue is shut down");
    if (pending.length > 0) await wait(pending);
    this.#closed = false;
    await this.close();
  }

  /** Lets go of the engine. Pending tasks fail with a {@link QueueClosedError}; their jobs go on. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#client.close();
    await this.#flows?.close();
    if (this.#ownsEngine) await this.engine.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Named, since by default BullMQ on PostgreSQL leaves out what waits in a queue that is paused. */
const countedStates = [
  "wait",
  "paused",
  "prioritized",
  "waiting-children",
  "active",
  "delayed",
  "completed",
  "failed",
] as const;

/** What is left until the nearest end: the submission's own deadline or that of the enclosing `timeout()` scope. */
function timeLeft(own: number | undefined): number | undefined {
  const scope = currentDeadline();
  const ofScope = scope === undefined ? undefined : Math.max(0, scope - getEventLoop().time());
  if (own === undefined || ofScope === undefined) return own ?? ofScope;
  return Math.min(own, ofScope);
}

function notAnId(id: string): TaskOptionsError {
  return new TaskOptionsError(
    `${JSON.stringify(id)} is not a job's id (loop.… or thread.…); for one that you chose, give the task too: attach(task, id).`,
  );
}
