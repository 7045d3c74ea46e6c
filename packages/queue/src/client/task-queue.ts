import { wait } from "@taskloom/loop";
import { checkIsTask } from "../definition/define-task.ts";
import type { TaskDefinition } from "../definition/define-task.ts";
import type { Engine } from "../contract/engine.ts";
import type { FlowAdder } from "../contract/lane-queue.ts";
import { DEFAULT_ENGINE, openEngine } from "../engines/open-engine.ts";
import { QueueClosedError, TaskOptionsError } from "../errors.ts";
import { jobId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { countJobs } from "../operate/counts.ts";
import type { QueueCounts } from "../operate/counts.ts";
import { groupedFailures } from "../operate/failures.ts";
import type { FailureGroup } from "../operate/failures.ts";
import { limitRate } from "../operate/limits.ts";
import type { RateLimit } from "../operate/limits.ts";
import { pages } from "../operate/pages.ts";
import { retryFailed } from "../operate/retry.ts";
import { CallToJob } from "./call-to-job.ts";
import { checkArguments } from "./check-arguments.ts";
import { attachToJob, retryJob } from "./existing-job.ts";
import type { FlowTask, TaskCall } from "./flow.ts";
import { planFlow } from "./flow-plan.ts";
import { JobClient } from "./job-client.ts";
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

/** Where a queue is and what it is called. */
export interface TaskQueueOptions {
  /** An engine's URL. Default `"embedded:.taskloom"`. */
  readonly engine?: string | Engine;
  /** The queue's name; workers take the queues that they are given by name. Default `"default"`. */
  readonly name?: string;
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
  readonly #jobs: CallToJob;
  readonly #schedules: Schedules;
  #flows: FlowAdder | undefined;
  /** It takes no more submissions. */
  #closed = false;
  #closing: Promise<void> | undefined;

  /** @throws {@link EngineUrlError} for a URL that names no engine, {@link TaskOptionsError} for an impossible name. */
  constructor({ engine = DEFAULT_ENGINE, name = "default" }: TaskQueueOptions = {}) {
    if (!/^[\w-]{1,64}$/.test(name)) {
      throw new TaskOptionsError(
        `Expected a queue's \`name\` to be 1 to 64 letters, digits, '_' or '-', got ${JSON.stringify(name)}.`,
      );
    }
    this.name = name;
    this.#ownsEngine = typeof engine === "string";
    this.engine = typeof engine === "string" ? openEngine(engine) : engine;
    this.#client = new JobClient(this.engine, name);
    this.#jobs = new CallToJob(this.engine, this.#client);
    this.#schedules = new Schedules(this.#client, this.#jobs);
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
  with(given: SubmitOptions): Submitter {
    const options = resolveSubmitOptions(given);
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
    const surroundings = this.#jobs.surroundings(options);
    const remote = this.#jobs.remoteFor<Awaited<R>>(task.task, options);
    let isChecking = true;
    const send = (checked: readonly unknown[]): void => {
      isChecking = false;
      if (remote.done()) return;
      this.#client.submit(this.#jobs.submission(remote, task.task, checked, options, surroundings));
      this.#jobs.expire(remote, options);
    };
    checkArguments(task.task, args, send, (error) => remote.fail(error));
    // A schema takes its time. Until it has answered nobody else knows of the job, and a cancel ends it here.
    if (isChecking)
      remote.signal.addEventListener("abort", () => isChecking && remote.fail(remote.signal.reason));
    return remote;
  }

  #check(task: TaskDefinition<never, unknown>): void {
    if (this.#closed)
      throw new QueueClosedError(`Queue ${this.name} is closed; make a new TaskQueue to submit to it.`);
    checkIsTask(task);
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
    const surroundings = this.#jobs.surroundings(options);
    return new RemoteMap(
      items,
      (chunk) => startPack(this.#client, this.#jobs, { task: task.task, chunk, options, surroundings }),
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
    return await this.#schedules.put(id, when, task.task, args, options);
  }

  /** Every schedule of the queue, the next to run first. */
  schedules(): Promise<Schedule[]> {
    return this.#schedules.all();
  }

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
    const surroundings = this.#jobs.surroundings(parent.options);
    const terms = { queueName: this.name, returnExceptions, surroundings };
    const { job, remote, submissions, checking } = planFlow(this.#jobs, parent.after(children), terms);
    checking.catch(() => {}); // Awaited below, after the connection; who waits hears of it there.
    void this.#client.sendFlow(submissions, async () => {
      await checking;
      this.#flows ??= this.engine.openFlows();
      await this.#flows.add(job);
    });
    this.#jobs.expire(remote, parent.options);
    return remote as FlowTask<R>;
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
    const name = typeof taskOrId === "string" ? "attached" : taskOrId.task.name;
    return attachToJob(this.#client, this.#jobs, id, name);
  }

  /** Where each of many jobs is, by full id, in a round trip or two. */
  async states(ids: readonly string[]): Promise<Map<string, JobSummary>> {
    return await jobStates(this.#client.queues, ids);
  }

  /** How many jobs are in each state, both lanes together or one alone. A cancelled one is in none but `cancelled`. */
  async counts(lane?: Lane): Promise<QueueCounts> {
    return await countJobs(this.#client.queues, lane);
  }

  /**
   * The jobs that failed for good and are still kept, grouped by task and error. All of them are counted; each group
   * lists its latest `limit`, so that many failures of one kind do not fill the memory.
   */
  async failed({ limit = 1_000 }: { readonly limit?: number } = {}): Promise<FailureGroup[]> {
    return await groupedFailures(this.engine, [this.name], limit);
  }

  /**
   * Retries every job that has failed for good, or every one of a task, as {@link retry} does; returns how many. Jobs
   * that fail once more meanwhile are not retried again.
   */
  async retryFailed({ task }: { readonly task?: string } = {}): Promise<number> {
    const only = task === undefined ? {} : { task };
    const retry = pages((at) =>
      retryFailed(this.engine, () => this.#client.queues, [this.name], { ...only, ...at }),
    );
    let count = 0;
    for await (const { retried } of retry) count += retried.length;
    return count;
  }

  /**
   * Runs a job that failed for good once more, with all of its attempts; gives its Task. That fails with a
   * {@link JobLostError} when there is no such job, and with a {@link TaskOptionsError} when it did not fail.
   */
  retry(id: string): RemoteTask<unknown> {
    return retryJob(this.#client, this.#jobs, id);
  }

  /**
   * Cancels waiting jobs, and delayed ones unless told otherwise; returns how many. Running jobs, the next runs of
   * schedules and flows that wait for their children go on.
   */
  async drain({ delayed = true }: { readonly delayed?: boolean } = {}): Promise<number> {
    return await drainQueue(this.#client.queues, { delayed });
  }

  /**
   * Lets at most `max` jobs begin in `per` milliseconds, in each lane, all workers together; `undefined` lifts it, and
   * workers notice that within a second.
   */
  async limit(limit: RateLimit | undefined): Promise<void> {
    await limitRate(this.#client.queues, limit);
  }

  /** Workers take no more jobs of this queue, in either lane, until {@link resume}; what runs goes on. */
  async pause(): Promise<void> {
    await pauseQueue(this.#client.queues);
  }

  /** Lets workers take jobs again. */
  async resume(): Promise<void> {
    await resumeQueue(this.#client.queues);
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
    await this.close();
  }

  /** Lets go of the engine. Pending tasks fail with a {@link QueueClosedError}; their jobs go on. */
  close(): Promise<void> {
    this.#closed = true;
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#client.close();
    await this.#flows?.close();
    if (this.#ownsEngine) await this.engine.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
