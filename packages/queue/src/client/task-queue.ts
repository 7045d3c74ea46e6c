import { cancelOnAbort, wait } from "@taskloom/loop";
import { settleWithin } from "@taskloom/loop/timer";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { Life, LifeState } from "@taskloom/loop/lifecycle";
import { checkOptionNames } from "../check-option-names.ts";
import { checkArguments } from "../definition/check-arguments.ts";
import { checkIsTask } from "../definition/define-task.ts";
import type { TaskDefinition } from "../definition/define-task.ts";
import type { Engine } from "../contract/engine.ts";
import type { FlowAdder } from "../contract/lane-queue.ts";
import { DEFAULT_ENGINE, openEngine } from "../engines/open-engine.ts";
import { QueueClosedError, TaskOptionsError } from "../errors.ts";
import { jobId, storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { countJobs } from "../operate/counts.ts";
import type { QueueCounts } from "../operate/counts.ts";
import { cleanJobs } from "../operate/clean.ts";
import type { CleanQuery } from "../operate/clean.ts";
import { promoteStored } from "../operate/promote.ts";
import { removeStored } from "../operate/remove.ts";
import { runSchedule } from "../operate/schedules.ts";
import { groupedFailures } from "../operate/failures.ts";
import type { FailureGroup } from "../operate/failures.ts";
import { readTaskLimits } from "../operate/task-limits.ts";
import type { PlacedTaskLimit } from "../operate/task-limits.ts";
import { limitRate } from "../operate/limits.ts";
import type { RateLimit } from "../operate/limits.ts";
import { pages } from "../operate/pages.ts";
import { retryFailed } from "../operate/retry.ts";
import { EventStream } from "./event-stream.ts";
import type { EventOptions } from "./event-stream.ts";
import { attachToJob, laneIn, retryJob } from "./existing-job.ts";
import type { FlowOptions, FlowTask, TaskCall } from "./flow.ts";
import { planFlow } from "./flow-plan.ts";
import { JobClient } from "./job-client.ts";
import { JobFactory } from "./job-factory.ts";
import { drainQueue } from "../operate/drain.ts";
import { jobStates } from "../operate/job-states.ts";
import type { JobSummary } from "../operate/job-states.ts";
import { pauseQueue, resumeQueue } from "../operate/pause.ts";
import { startPack } from "./pack-submission.ts";
import { RemoteMap } from "./remote-map.ts";
import type { RemoteMapOptions } from "./remote-map.ts";
import type { RemoteTask } from "./remote-task.ts";
import type { When } from "../operate/schedule-times.ts";
import { Schedules } from "./schedules.ts";
import type { Schedule } from "./schedules.ts";
import { resolveSubmitOptions } from "./submit-options.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** The options of a {@link TaskQueue}: its engine and its name. */
export interface TaskQueueOptions {
  /** The URL of an engine, or an engine that stays open when the queue closes. Default `"embedded:.taskloom"`. */
  readonly engine?: string | Engine;
  /** The name of the queue, by which workers take its jobs. Default `"default"`. */
  readonly name?: string;
}

type Arguments = readonly unknown[];

const QUEUE_OPTIONS: Readonly<Record<keyof TaskQueueOptions, true>> = { engine: true, name: true };
/** A queue that closes waits at most this long for schemas that check arguments. */
const CHECK_PATIENCE_MS = 5_000;

/**
 * An item of {@link TaskQueue.map}: the list of arguments of a call, or its only argument, as `pool.map` takes it. An argument
 * that is an array itself stands in a list.
 */
export type MapItem<A extends unknown[]> =
  | A
  | (A extends [infer Only] ? (Only extends readonly unknown[] ? never : Only) : never);

function argumentsOf(item: unknown): Arguments {
  return Array.isArray(item) ? item : [item];
}

/** A queue with options for each submission; made by {@link TaskQueue.with}. */
export interface Submitter {
  /** See {@link TaskQueue.submit}. */
  submit<A extends unknown[], R, P>(task: TaskDefinition<A, R, P>, ...args: A): RemoteTask<Awaited<R>, P>;
  map<A extends unknown[], R>(
    task: TaskDefinition<A, R>,
    items: Iterable<MapItem<NoInfer<A>>> | AsyncIterable<MapItem<NoInfer<A>>>,
    options?: RemoteMapOptions,
  ): RemoteMap<Awaited<R>>;
  /** See {@link TaskQueue.schedule}. */
  schedule<A extends unknown[], R>(
    id: string,
    when: When,
    task: TaskDefinition<A, R>,
    ...args: A
  ): Promise<Schedule>;
}

/**
 * A queue of tasks, which workers run in this or in other processes, on this or on other machines.
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
export class TaskQueue implements Life {
  readonly name: string;
  readonly engine: Engine;
  readonly #ownsEngine: boolean;
  readonly #client: JobClient;
  readonly #jobs: JobFactory;
  readonly #schedules: Schedules;
  #flows: FlowAdder | undefined;
  /** The event streams that have not ended. */
  readonly #streams = new Set<EventStream>();
  /** The submissions whose arguments an asynchronous schema checks. */
  readonly #checking = new Set<Promise<void>>();
  readonly #life = new Lifecycle(
    () => new QueueClosedError(`Queue ${this.name} is closed; make a new TaskQueue to submit to it`),
  );

  /** @throws {@link EngineUrlError} for a URL that names no engine, {@link TaskOptionsError} for an invalid name. */
  constructor(options: TaskQueueOptions = {}) {
    if (typeof options !== "object" || options === null)
      throw new TaskOptionsError(
        `Expected the options of a TaskQueue, such as { engine: "embedded:.taskloom", name: "mail" }, got ${JSON.stringify(options)}`,
      );
    checkOptionNames(options, QUEUE_OPTIONS, "a TaskQueue");
    const { engine = DEFAULT_ENGINE, name = "default" } = options;
    if (!/^[\w-]{1,64}$/.test(name)) {
      throw new TaskOptionsError(
        `Expected a queue's \`name\` to be 1 to 64 letters, digits, '_' or '-', got ${JSON.stringify(name)}`,
      );
    }
    this.name = name;
    this.#ownsEngine = typeof engine === "string";
    this.engine = typeof engine === "string" ? openEngine(engine) : engine;
    this.#client = new JobClient(this.engine, name);
    this.#jobs = new JobFactory(this.engine, this.#client);
    this.#schedules = new Schedules(this.#client, this.#jobs);
  }

  /** `open` while the queue takes submissions, `stopped` when it is closed. */
  get state(): LifeState {
    return this.#life.state;
  }

  /**
   * Connects now, and not at the first submission.
   *
   * @throws {@link EngineUnavailableError} if the engine does not answer.
   */
  async connect(): Promise<void> {
    this.#life.assertUsable();
    await this.engine.connect();
  }

  /**
   * Submits a call of a task. All submissions of one turn travel together. The enclosing `timeout()` scope, if there is
   * one, becomes the deadline of the job.
   *
   * @returns a task that ends as the job ends: with its value, its error, or as cancelled. It fails with a
   *   {@link TaskArgumentsError} for arguments that the task's schema refuses, and with a {@link WireError} for arguments
   *   that cannot be sent.
   * @throws {@link TaskOptionsError} if `task` was not made by `defineTask`, {@link QueueClosedError} if the queue is
   *   closed.
   */
  submit<A extends unknown[], R, P>(task: TaskDefinition<A, R, P>, ...args: A): RemoteTask<Awaited<R>, P> {
    return this.#submit(task, args, {});
  }

  /**
   * Returns the queue with options for each submission.
   *
   * @throws {@link TaskOptionsError} for an invalid or unknown option.
   * @example
   * ```ts
   * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
   *
   * const greet = defineTask({ name: "greet" }, async (name: string) => `Hello, ${name}`);
   * const worker = new TaskWorker({ engine: "memory:", tasks: [greet] }).run();
   * await using queue = new TaskQueue({ engine: "memory:" });
   * const urgent = queue.with({ priority: 1, deadline: 5_000 });
   * console.log(await urgent.submit(greet, "Ada")); // Hello, Ada
   * worker.cancel();
   * ```
   */
  with(given: SubmitOptions): Submitter {
    const options = resolveSubmitOptions(given);
    return {
      submit: (task, ...args) => this.#submit(task, args, options),
      map: (task, items, mapOptions) => this.#map(task, items, mapOptions, options),
      schedule: (id, when, task, ...args) => this.#schedule(id, when, task, args, options),
    };
  }

  #submit<A extends unknown[], R, P>(
    task: TaskDefinition<A, R, P>,
    args: A,
    options: SubmitOptions,
  ): RemoteTask<Awaited<R>, P> {
    this.#checkCall(task);
    const context = this.#jobs.captureContext(options);
    const remote = this.#jobs.newTask<Awaited<R>, P>(task.task, options);
    const send = (checked: Arguments): void => {
      if (remote.done()) return;
      this.#client.submit(this.#jobs.submission(remote, task.task, checked, options, context));
      this.#client.expireAfter(options.deadline, remote);
    };
    try {
      const checked = checkArguments(task.task, args);
      if (checked instanceof Promise) this.#sendLater(sendChecked(remote, checked, send));
      else send(checked);
    } catch (error) {
      remote.fail(error);
    }
    if (options.signal !== undefined) cancelOnAbort(remote, options.signal);
    return remote;
  }

  /** Keeps a submission whose arguments are checked: a queue that closes waits for it. */
  #sendLater(sending: Promise<void>): void {
    this.#checking.add(sending);
    void sending.finally(() => this.#checking.delete(sending));
  }

  #checkCall(task: TaskDefinition<never, unknown>): void {
    this.#life.assertOpen();
    checkIsTask(task);
  }

  /**
   * Calls a task for each of many items, and sends many calls as one job (a pack): for calls that are too small for jobs
   * of their own. An item is the only argument of the task, as in `pool.map`, or the list of its arguments. Results arrive in the order of the items, and an error belongs to its item. Attempts and
   * `timeout` hold for each item. An item that has ended runs again only if its worker dies.
   *
   * @throws {@link TaskOptionsError} if `task` was not made by `defineTask` or is a durable run, and for the options `id`
   *   and `deduplicate`; {@link QueueClosedError} if the queue is closed.
   * @example
   * ```ts
   * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
   *
   * const square = defineTask({ name: "square" }, (n: number) => n * n);
   * const worker = new TaskWorker({ engine: "memory:", tasks: [square] }).run();
   * await using queue = new TaskQueue({ engine: "memory:" });
   * for await (const result of queue.map(square, [1, 2, 3])) console.log(result); // 1, 4, 9
   * worker.cancel();
   * ```
   */
  map<A extends unknown[], R>(
    task: TaskDefinition<A, R>,
    items: Iterable<MapItem<NoInfer<A>>> | AsyncIterable<MapItem<NoInfer<A>>>,
    options?: RemoteMapOptions,
  ): RemoteMap<Awaited<R>> {
    return this.#map(task, items, options, {});
  }

  #map<A extends unknown[], R>(
    task: TaskDefinition<A, R>,
    items: Iterable<unknown> | AsyncIterable<unknown>,
    mapOptions: RemoteMapOptions = {},
    options: SubmitOptions,
  ): RemoteMap<Awaited<R>> {
    this.#checkCall(task);
    if (task.task.runsOn === "workflow")
      throw new TaskOptionsError(
        `Expected a task of the loop or thread lane for a map, got ${task.task.name}, which is a durable run; submit each call by itself`,
      );
    if (options.id !== undefined || options.deduplicate !== undefined)
      throw new TaskOptionsError(
        "Expected a map to have no `id` and no `deduplicate`, since it consists of many jobs",
      );
    if (task.task.limits !== undefined && (mapOptions.chunkSize ?? 1) > 1)
      throw new TaskOptionsError(
        `Expected a map of task ${task.task.name} to have no \`chunkSize\` above 1, since the task has a limit, which counts each call`,
      );
    const context = this.#jobs.captureContext(options);
    return new RemoteMap<Awaited<R>>(
      items,
      (chunk) =>
        startPack(this.#client, this.#jobs, {
          task: task.task,
          chunk: chunk.map(argumentsOf),
          options,
          context,
        }),
      task.task.limits === undefined ? mapOptions : { ...mapOptions, chunkSize: 1 },
    );
  }

  /**
   * Runs a task again and again, at the times of a cron pattern or at an interval, on any worker that is free. A schedule
   * replaces any other schedule of its id.
   *
   * @throws {@link TaskOptionsError} for an invalid id, pattern, time zone or interval; {@link TaskArgumentsError} for
   *   arguments that the task's schema refuses.
   * @example
   * ```ts
   * import { TaskQueue, defineTask } from "@taskloom/queue";
   *
   * const report = defineTask({ name: "report" }, async (kind: string) => kind);
   * await using queue = new TaskQueue({ engine: "memory:" });
   * const nightly = await queue.schedule("nightly", { cron: "0 3 * * *", timezone: "Europe/Berlin" }, report, "sales");
   * console.log(new Date(nightly.next ?? 0).getMinutes()); // 0
   * await nightly.remove();
   * ```
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
    this.#checkCall(task);
    return await this.#schedules.put(id, when, task.task, args, options);
  }

  /** Reads every schedule of the queue. The one that runs next comes first. */
  async schedules(): Promise<Schedule[]> {
    this.#life.assertUsable();
    return await this.#schedules.all();
  }

  /**
   * Submits a parent call and its children in one step. The children run first, each on any worker. The parent runs when
   * all of them have ended, with their results in order as `currentJob().childResults`. Children have children of their
   * own by {@link TaskCall.after}.
   *
   * A child that fails for good fails its parent with a {@link FlowChildFailedError}, and a cancelled child cancels it.
   * With `returnExceptions`, the parent runs in both cases, with the errors among its results. A cancel of the parent
   * cancels its children.
   *
   * @throws {@link TaskOptionsError} for a task that was not made by `defineTask`, {@link TaskArgumentsError} for
   *   arguments that a schema refuses, {@link WireError} for arguments that cannot be sent.
   * @example
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
    { returnExceptions = false, signal }: FlowOptions = {},
  ): FlowTask<R> {
    const context = this.#jobs.captureContext(parent.options);
    const settings = { queueName: this.name, returnExceptions, context };
    const { job, remote, submissions, checking } = planFlow(this.#jobs, parent.after(children), settings);
    void this.#client.sendFlow(submissions, async () => {
      await checking;
      this.#flows ??= this.engine.openFlows();
      await this.#flows.add(job);
    });
    this.#client.expireAfter(parent.options.deadline, remote);
    if (signal !== undefined) cancelOnAbort(remote, signal);
    return remote;
  }

  /**
   * Returns a task that waits for a job which this or another process has submitted. The job is found by its id, or by
   * its task and the id that the submitter chose. A cancel of the task cancels the job. The task fails with a
   * {@link JobLostError} if the engine has no such job.
   *
   * @throws {@link TaskOptionsError} for an id without a lane and without a task.
   */
  attach(id: string): RemoteTask<unknown>;
  attach<A extends unknown[], R, P>(task: TaskDefinition<A, R, P>, id: string): RemoteTask<Awaited<R>, P>;
  attach(taskOrId: TaskDefinition | string, chosen?: string): RemoteTask<unknown> {
    const id = typeof taskOrId === "string" ? taskOrId : jobId(taskOrId.task.runsOn, chosen ?? "");
    const name = typeof taskOrId === "string" ? "attached" : taskOrId.task.name;
    return attachToJob(this.#client, this.#jobs, id, name);
  }

  /** Reads the states of many jobs by their full ids, in one or two round trips. */
  async states(ids: readonly string[]): Promise<Map<string, JobSummary>> {
    this.#life.assertUsable();
    return await jobStates(this.#client.queues, ids);
  }

  /** Counts the jobs in each state, of all lanes or of one. A cancelled job counts as `cancelled` alone. */
  async counts(lane?: Lane): Promise<QueueCounts> {
    this.#life.assertUsable();
    return await countJobs(this.#client.queues, lane);
  }

  /**
   * Reads the jobs that have failed for good and are still kept, grouped by task and error. Every job is counted, and each
   * group lists its latest `limit` jobs, so that many failures of one kind do not fill the memory. The listed jobs have their
   * errors and their arguments.
   */
  async failed({ limit = 1_000 }: { readonly limit?: number } = {}): Promise<FailureGroup[]> {
    this.#life.assertUsable();
    return await groupedFailures(this.engine, [this.name], limit);
  }

  /**
   * Retries every job that has failed for good, of all tasks or of one. Resolves with the number of these jobs. A job
   * that fails again in between is not retried a second time.
   */
  async retryFailed({ task }: { readonly task?: string } = {}): Promise<number> {
    this.#life.assertUsable();
    const only = task === undefined ? {} : { task };
    const retry = pages((at) =>
      retryFailed(this.engine, () => this.#client.queues, [this.name], { ...only, ...at }),
    );
    let count = 0;
    for await (const { retried } of retry) count += retried.length;
    return count;
  }

  /**
   * Retries a job that has failed for good, with all its attempts. The returned task fails with a {@link JobLostError} if
   * there is no such job, and with a {@link TaskOptionsError} if the job has not failed.
   *
   * @throws {@link TaskOptionsError} for an id without a lane.
   */
  retry(id: string): RemoteTask<unknown> {
    return retryJob(this.#client, this.#jobs, id);
  }

  /**
   * Removes a job with all that is stored about it. A waiting or delayed job is cancelled first, so its callers receive a
   * CancelledError. A parked durable run is terminated. Resolves with false if there is no such job.
   *
   * @throws {@link TaskOptionsError} for an id without a lane, and for a job that runs, waits for its children, or is the next
   *   run of a schedule.
   * @example
   * ```ts
   * import { TaskQueue, defineTask } from "@taskloom/queue";
   *
   * const remind = defineTask({ name: "remind" }, async (user: string) => user);
   * await using queue = new TaskQueue({ engine: "memory:" });
   * const job = queue.with({ delay: 60_000 }).submit(remind, "ada");
   * job.catch(() => {}); // The job is cancelled, and then removed.
   * await job.sent();
   * console.log(await queue.remove(job.id), await queue.remove(job.id)); // true false
   * ```
   */
  async remove(id: string): Promise<boolean> {
    this.#life.assertUsable();
    return await removeStored(this.#client.queues, laneIn(id), storedId(id));
  }

  /**
   * Removes the jobs of one state: those that ended at least `olderThan` milliseconds ago, the oldest first and at most
   * `limit`. Resolves with their number. Of the states `waiting` and `delayed`, the time counts from the submission; these
   * jobs are cancelled first.
   *
   * @throws {@link TaskOptionsError} for an unknown state, and for an invalid time or limit.
   * @example
   * ```ts
   * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
   *
   * const tick = defineTask({ name: "tick" }, async () => {});
   * const worker = new TaskWorker({ engine: "memory:", tasks: [tick] }).run();
   * await using queue = new TaskQueue({ engine: "memory:" });
   * await queue.submit(tick);
   * console.log(await queue.clean({ state: "completed", olderThan: 60_000 })); // 0
   * console.log(await queue.clean({ state: "completed" })); // 1
   * worker.cancel();
   * ```
   */
  async clean({ limit = Infinity, ...query }: CleanQuery): Promise<number> {
    this.#life.assertUsable();
    const { queues } = this.#client;
    let removed = 0;
    for (let at = {}; ;) {
      const page = await cleanJobs(this.engine, () => queues, [this.name], {
        ...query,
        ...at,
        limit: limit - removed,
      });
      removed += page.removed.length;
      if (page.next === undefined || removed >= limit) return removed;
      at = { cursor: page.next };
    }
  }

  /**
   * Lets a delayed job run now, in front of its `delay` or its back-off.
   *
   * @throws {@link JobLostError} if there is no such job; {@link TaskOptionsError} for an id without a lane, and for a job that
   *   is not delayed, is the next run of a schedule, or is a parked durable run.
   * @example
   * ```ts
   * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
   *
   * const greet = defineTask({ name: "greet" }, async (name: string) => `Hello ${name}`);
   * const worker = new TaskWorker({ engine: "memory:", tasks: [greet] }).run();
   * await using queue = new TaskQueue({ engine: "memory:" });
   * const job = queue.with({ delay: 3_600_000 }).submit(greet, "Ada");
   * await job.sent();
   * await queue.promote(job.id);
   * console.log(await job); // Hello Ada
   * worker.cancel();
   * ```
   */
  async promote(id: string): Promise<void> {
    this.#life.assertUsable();
    await promoteStored(this.#client.queues, laneIn(id), storedId(id));
  }

  /**
   * Runs a schedule once more at once, in addition to its times. Resolves with the id of the job, to which
   * {@link TaskQueue.attach} waits. {@link Schedule.run} does the same and returns the task.
   *
   * @throws {@link TaskOptionsError} if the queue has no such schedule.
   * @example
   * ```ts
   * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
   *
   * const report = defineTask({ name: "report" }, async (kind: string) => `${kind} done`);
   * const worker = new TaskWorker({ engine: "memory:", tasks: [report] }).run();
   * await using queue = new TaskQueue({ engine: "memory:" });
   * const nightly = await queue.schedule("nightly", { cron: "0 3 * * *" }, report, "sales");
   * console.log(await queue.attach(await queue.runNow("nightly"))); // sales done
   * await nightly.remove();
   * worker.cancel();
   * ```
   */
  async runNow(scheduleId: string): Promise<string> {
    this.#life.assertUsable();
    return await runSchedule(this.#client.queues, scheduleId);
  }

  /**
   * Cancels all waiting jobs, and all delayed jobs unless `delayed` is false. Resolves with the number of cancelled jobs.
   * Running jobs, the next runs of schedules and flows that wait for their children continue.
   */
  async drain({ delayed = true }: { readonly delayed?: boolean } = {}): Promise<number> {
    this.#life.assertUsable();
    return await drainQueue(this.#client.queues, { delayed });
  }

  /**
   * Limits each lane to `max` starts of jobs in `per` milliseconds, for all workers together. `undefined` lifts the limit,
   * which workers notice within a second.
   *
   * @throws {@link TaskOptionsError} for an invalid limit.
   */
  async limit(limit: RateLimit | undefined): Promise<void> {
    this.#life.assertUsable();
    await limitRate(this.#client.queues, limit);
  }

  /**
   * Reads the limits of tasks that are in use, each with the slots that are taken and the jobs that wait for one. The limits of
   * the whole queue, which {@link limit} sets, are not among them.
   *
   * @example
   * ```ts
   * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
   *
   * const sync = defineTask(
   *   { name: "crm.sync", concurrency: { limit: 1, key: ([customer]) => customer } },
   *   async (customer: string) => {
   *     console.log((await queue.taskLimits()).map(({ key, taken }) => `${key}: ${taken}`)); // [ 'ada: 1' ]
   *   },
   * );
   * await using queue = new TaskQueue({ engine: "memory:" });
   * const worker = new TaskWorker({ engine: "memory:", tasks: [sync] }).run();
   * await queue.submit(sync, "ada");
   * worker.cancel();
   * ```
   */
  async taskLimits(): Promise<PlacedTaskLimit[]> {
    this.#life.assertUsable();
    return await readTaskLimits(this.#client.queues);
  }

  /** Pauses all lanes: workers take no more jobs until {@link resume}. Running jobs continue. */
  async pause(): Promise<void> {
    this.#life.assertUsable();
    await pauseQueue(this.#client.queues);
  }

  /** Lets workers take jobs again after {@link pause}. */
  async resume(): Promise<void> {
    this.#life.assertUsable();
    await resumeQueue(this.#client.queues);
  }

  /**
   * Reads the events of the queue, in all lanes, from this call on: jobs that are added, start, report progress, end and are
   * removed, whichever process does it. Up to `buffer` events wait for the reader; for more, the oldest are dropped, and an
   * event `missed` has their number. The iteration ends with its `signal`, and when the queue is closed.
   *
   * @throws {@link QueueClosedError} if the queue is closed; {@link TaskOptionsError} for an invalid `buffer`.
   * @example
   * ```ts
   * import { TaskQueue, TaskWorker, defineTask } from "@taskloom/queue";
   *
   * const add = defineTask({ name: "add" }, async (a: number, b: number) => a + b);
   * const worker = new TaskWorker({ engine: "memory:", tasks: [add] }).run();
   * await using queue = new TaskQueue({ engine: "memory:" });
   * const events = queue.events();
   * await events.ready();
   * const sum = queue.submit(add, 1, 2);
   * for await (const event of events) if (event.type === "completed") break;
   * console.log(await sum); // 3
   * worker.cancel();
   * ```
   */
  events(options: EventOptions = {}): EventStream {
    this.#life.assertUsable();
    const stream = new EventStream(this.#client.queues, options, (ended) => this.#streams.delete(ended));
    this.#streams.add(stream);
    return stream;
  }

  /**
   * Takes no more submissions, waits for the pending tasks of this queue, and closes. With `cancelPending`, these tasks
   * are cancelled first. By this method a queue is an `Executor` of `@taskloom/loop`, as in
   * `loop.runInExecutor(queue, task, …)`.
   */
  async shutdown({ cancelPending = false }: { readonly cancelPending?: boolean } = {}): Promise<void> {
    const pending = this.#client.pendingTasks();
    this.#life.beginStop();
    if (cancelPending) for (const task of pending) task.cancel("the queue is shut down");
    if (pending.length > 0) await wait(pending);
    await this.close();
  }

  /**
   * Closes the queue, and its engine if the queue has opened it. The jobs that were submitted before are stored first: for
   * an engine that does not answer, the queue waits for a second. Pending tasks then fail with a {@link QueueClosedError},
   * and their jobs continue.
   */
  close(): Promise<void> {
    return this.#life.stop(() => this.#close());
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#streams].map((stream) => stream.return()));
    await settleWithin(CHECK_PATIENCE_MS, Promise.all(this.#checking));
    await this.#client.close();
    await this.#flows?.close();
    if (this.#ownsEngine) await this.engine.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Sends a call once an asynchronous schema has checked its arguments. Until then a cancel ends the task here. */
async function sendChecked(
  remote: RemoteTask<unknown>,
  checking: Promise<Arguments>,
  send: (checked: Arguments) => void,
): Promise<void> {
  const cancel = (): void => void remote.fail(remote.signal.reason);
  remote.signal.addEventListener("abort", cancel);
  try {
    const checked = await checking;
    remote.signal.removeEventListener("abort", cancel);
    send(checked);
  } catch (error) {
    remote.fail(error);
  }
}
