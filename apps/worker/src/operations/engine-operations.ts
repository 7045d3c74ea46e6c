import { didYouMean } from "@taskloom/loop/did-you-mean";
import { TaskQueue, defineTask } from "@taskloom/queue";
import type { Engine, Lane, SubmitOptions, TaskDefinition, When } from "@taskloom/queue";
import {
  FailureGroups,
  LaneQueues,
  allQueues,
  findJob,
  laneQueueName,
  lanes,
  listJobs,
  logPage,
  oldestWait,
  publicId,
  readFailures,
  readJob,
  retryFailed,
  retryStored,
  whyNotServed,
} from "@taskloom/queue/operating";
import type { JobPlace, RetryPage, ServingWorker } from "@taskloom/queue/operating";
import type { Queue } from "bullmq";
import { viewError, viewJob } from "./job-record.ts";
import type {
  FailedPage,
  JobPage,
  JobSearch,
  JobView,
  LaneCounts,
  Operations,
  QueueView,
  RetrySearch,
  ScheduleRequest,
  ScheduleView,
  SubmitRequest,
} from "./operations.ts";
import { Presence } from "../workers/presence.ts";
import { ServiceError } from "../errors/service-error.ts";
import { taskDefinitions } from "../workers/worker-view.ts";
import type { WorkerView } from "../workers/worker-view.ts";

/** So many jobs one listing shows when nobody says, and so many ids a group of failures names. */
const listedByDefault = 50;
const idsOfGroup = 1_000;
/** The pauses between looks at a job that somebody waits for, in milliseconds. */
const firstPause = 20;
const longestPause = 250;
/** How long the tasks and queues of other workers are taken as known; a submission must not cost a look at all workers. */
const knownFor = 2_000;

/** Operations on an engine that this process can reach. */
export class EngineOperations implements Operations {
  readonly #engine: Engine;
  readonly #queueNames: readonly string[];
  readonly #local: ReadonlyMap<string, TaskDefinition>;
  readonly #presence: Presence;
  readonly #queues = new Map<string, TaskQueue>();
  readonly #laneQueues = new Map<string, LaneQueues>();
  readonly #lanes = new Map<string, Queue>();
  #names: { readonly at: number; readonly all: Promise<readonly string[]> } | undefined;
  #serving: { readonly at: number; readonly workers: readonly ServingWorker[] } | undefined;
  #known: { readonly at: number; readonly tasks: Promise<ReadonlyMap<string, TaskDefinition>> } | undefined;

  /**
   * @param queues the queues that are shown even while they are empty; the first is submitted to when a request names none.
   * @param modules task modules of this process: with them arguments are checked before they are sent.
   */
  constructor(engine: Engine, queues: readonly string[], modules: readonly object[] = []) {
    this.#engine = engine;
    this.#queueNames = queues;
    this.#local = new Map(taskDefinitions(modules).map((task) => [task.task.name, task]));
    this.#presence = new Presence(engine);
  }

  get #defaultQueue(): string {
    return this.#queueNames[0] ?? "default";
  }

  /** BullMQ's queue behind one lane, for what TaskQueue does not tell. */
  lane(queue: string, lane: Lane): Queue {
    const name = laneQueueName(queue, lane);
    let open = this.#lanes.get(name);
    if (open === undefined) {
      open = this.#engine.openQueue(name);
      this.#lanes.set(name, open);
    }
    return open;
  }

  #stored(queue: string): LaneQueues {
    let open = this.#laneQueues.get(queue);
    if (open === undefined) this.#laneQueues.set(queue, (open = new LaneQueues(this.#engine, queue)));
    return open;
  }

  /**
   * The queues that a request is about: the one that it names, or all that there are. A queue that nobody uses is
   * refused, since to look into one would make it.
   */
  async #scope(queue: string | undefined): Promise<readonly string[]> {
    if (queue !== undefined && this.#queueNames.includes(queue)) return [queue];
    const isFresh = this.#names !== undefined && performance.now() - this.#names.at < knownFor;
    let names = await (isFresh ? this.#names?.all : this.#lookForQueues());
    if (queue === undefined) return names!;
    if (isFresh && names?.includes(queue) !== true) names = await this.#lookForQueues();
    if (names?.includes(queue) === true) return [queue];
    throw new ServiceError(
      404,
      "QUEUE_UNKNOWN",
      `there is no queue ${queue}.${didYouMean(queue, names ?? [])} There are: ${(names ?? []).join(", ")}.`,
    );
  }

  #lookForQueues(serving?: Promise<readonly ServingWorker[]>): Promise<readonly string[]> {
    const all = allQueues(this.#engine, this.#queueNames, serving);
    this.#names = { at: performance.now(), all };
    all.catch(() => (this.#names = undefined));
    return all;
  }

  #queue(name: string): TaskQueue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new TaskQueue({ engine: this.#engine, name });
      this.#queues.set(name, queue);
    }
    return queue;
  }

  async submit(task: string, args: readonly unknown[], request: SubmitRequest = {}): Promise<JobView> {
    const { queue = this.#defaultQueue, ...options } = request;
    const definition = await this.#definition(task);
    const submitted = this.#queue(queue)
      .with(options satisfies SubmitOptions)
      .submit(definition as TaskDefinition<unknown[], unknown>, ...args);
    submitted.catch(() => {}); // Whoever asks for the result gets the error from what is stored.
    await submitted.sent();
    const notice = await this.#whyNotServed(queue, task);
    return {
      id: submitted.id,
      task,
      queue,
      lane: definition.task.runsOn,
      state: options.delay === undefined ? "waiting" : "delayed",
      attempts: 0,
      maxAttempts: options.attempts ?? definition.task.attempts,
      args,
      submittedAt: Math.round(this.#engine.now()),
      ...(notice === undefined ? {} : { notice }),
    };
  }

  /** Asks for the live workers anew only when those that are known do not serve the job. */
  async #whyNotServed(queue: string, task: string): Promise<string | undefined> {
    const known = this.#serving;
    const isServed =
      known !== undefined &&
      performance.now() - known.at < knownFor &&
      whyNotServed(known.workers, queue, task) === undefined;
    if (isServed) return undefined;
    const workers = await this.#liveWorkers();
    this.#serving = { at: performance.now(), workers };
    return whyNotServed(workers, queue, task);
  }

  /** Workers that have stored that they serve, and those that were seen lately: one of the two may be late. */
  async #liveWorkers(): Promise<ServingWorker[]> {
    const [serving, seen] = await Promise.all([this.#engine.serving(), this.#presence.all()]);
    return [...serving, ...seen.filter(({ state }) => state === "running").map(servingOf)];
  }

  async #definition(name: string): Promise<TaskDefinition> {
    const local = this.#local.get(name);
    if (local !== undefined) return local;
    if (this.#known === undefined || performance.now() - this.#known.at > knownFor) {
      this.#known = { at: performance.now(), tasks: this.#tasksOfWorkers() };
    }
    const known = await this.#known.tasks;
    const found = known.get(name);
    if (found !== undefined) return found;
    const names = [...new Set([...this.#local.keys(), ...known.keys()])].toSorted();
    throw new ServiceError(
      404,
      "TASK_UNKNOWN",
      names.length === 0
        ? `no worker runs that could tell what task ${name} is; start one with taskloom worker MODULE, or name the module with --module.`
        : `no worker knows a task ${name}.${didYouMean(name, names)} Known are: ${names.join(", ")}.`,
    );
  }

  async #tasksOfWorkers(): Promise<ReadonlyMap<string, TaskDefinition>> {
    const tasks = new Map<string, TaskDefinition>();
    for (const worker of await this.workers()) {
      for (const { name, version, runsOn, attempts, timeout, backoff } of worker.tasks) {
        if ((tasks.get(name)?.task.version ?? 0) >= version) continue;
        const elsewhere = (): never => {
          throw new TypeError(`task ${name} is known by name only and cannot run here`);
        };
        tasks.set(
          name,
          defineTask(
            {
              name,
              version,
              runsOn,
              attempts,
              module: "taskloom:elsewhere",
              ...(timeout === undefined ? {} : { timeout }),
              ...(backoff === undefined ? {} : { backoff }),
            },
            elsewhere,
          ) as TaskDefinition,
        );
      }
    }
    return tasks;
  }

  async #find(id: string, queue: string | undefined): Promise<JobPlace> {
    const queues = await this.#scope(queue);
    const found = await findJob(this.#engine, queues, id);
    if (found !== undefined) return found;
    throw new ServiceError(
      404,
      "JOB_UNKNOWN",
      `there is no job ${id} in queue ${queues.join(", ")}: it was never there, or was removed at the end of its time.`,
    );
  }

  async job(id: string, queue?: string): Promise<JobView> {
    return await this.#view(await this.#find(id, queue));
  }

  async #view(place: JobPlace): Promise<JobView> {
    const snapshot = await readJob(this.#stored(place.queue), place);
    if (snapshot !== undefined) return viewJob(snapshot);
    throw new ServiceError(404, "JOB_UNKNOWN", `job ${place.stored} was removed at the end of its time.`);
  }

  async ended(id: string, milliseconds: number, queue?: string): Promise<JobView> {
    const end = performance.now() + milliseconds;
    const found = await this.#find(id, queue);
    const lane = laneQueueName(found.queue, found.lane);
    for (let pause = firstPause; ; pause = Math.min(pause * 1.5, longestPause)) {
      // The result is read once, at the end.
      const [record] = await this.#engine.readRecords(lane, [found.stored], {});
      const left = end - performance.now();
      if (record === undefined || record.finishedOn !== undefined || left <= 0)
        return await this.#view(found);
      await new Promise((resolve) => setTimeout(resolve, Math.min(pause, left)));
    }
  }

  async logs(id: string, from: number, queue?: string): Promise<readonly string[]> {
    const { queue: name, lane, stored } = await this.#find(id, queue);
    return await logPage(this.#stored(name).lane(lane), stored, from);
  }

  async cancel(id: string, reason: string, queue?: string): Promise<JobView> {
    const found = await this.#find(id, queue);
    const full = publicId(found.lane, found.stored);
    const task = this.#queue(found.queue).attach(full);
    task.catch(() => {});
    task.cancel(reason);
    return await this.ended(full, 2_000, found.queue);
  }

  async jobs({ queue, limit = listedByDefault, ...search }: JobSearch): Promise<JobPage<JobView>> {
    const page = await listJobs(this.#engine, await this.#scope(queue), { ...search, limit });
    return { ...page, jobs: page.jobs.map(viewJob) };
  }

  async queues(): Promise<Readonly<Record<string, QueueView>>> {
    const live = this.#engine.serving();
    const [names, workers, seen] = await Promise.all([this.#lookForQueues(live), live, this.#presence.all()]);
    const views = await Promise.all(
      names.map(async (name): Promise<readonly [string, QueueView]> => {
        const [loop, thread, isPaused] = await Promise.all([
          this.#laneCounts(name, "loop"),
          this.#laneCounts(name, "thread"),
          this.#stored(name).lane("loop").isPaused(),
        ]);
        // A worker of this service is in both lists, one of a user's own process in the first alone.
        const [serving, running] = [workers, seen.filter(({ state }) => state === "running")].map(
          (each) => each.filter(({ queues }) => queues.includes(name)).length,
        ) as [number, number];
        return [name, { loop, thread, isPaused, workers: Math.max(serving, running) }];
      }),
    );
    return Object.fromEntries(
      views.filter(([name, view]) => this.#queueNames.includes(name) || isInUse(view)),
    );
  }

  async #laneCounts(queue: string, lane: Lane): Promise<LaneCounts> {
    const stored = this.#stored(queue);
    const [counts, oldest] = await Promise.all([this.#queue(queue).counts(lane), oldestWait(stored, lane)]);
    return { ...counts, oldestWait: oldest };
  }

  async pause(queue: string, isPaused: boolean): Promise<void> {
    await this.#scope(queue);
    await (isPaused ? this.#queue(queue).pause() : this.#queue(queue).resume());
  }

  async workers(): Promise<readonly WorkerView[]> {
    return (await this.#presence.all()).toSorted((a, b) => a.slot.localeCompare(b.slot));
  }

  async failed(queue?: string, cursor?: string): Promise<FailedPage> {
    const page = await readFailures(this.#engine, await this.#scope(queue), cursor);
    const groups = new FailureGroups(idsOfGroup);
    for (const failure of page.failures) groups.add(failure);
    return {
      groups: groups.all().map(({ task, count, jobs }) => ({
        task,
        error: viewError(jobs[0]?.error),
        count,
        lastAt: jobs[0]?.failedAt ?? 0,
        ids: jobs.map(({ id }) => id),
      })),
      searched: page.searched,
      ...(page.next === undefined ? {} : { next: page.next }),
    };
  }

  async retry(id: string, queue?: string): Promise<void> {
    const { queue: name, lane, stored } = await this.#find(id, queue);
    try {
      await retryStored(this.#stored(name), lane, stored);
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      if (code === "TASK_OPTIONS") throw new ServiceError(409, "JOB_NOT_FAILED", message, { cause: error });
      if (code === "JOB_LOST") throw new ServiceError(404, "JOB_UNKNOWN", message, { cause: error });
      throw error;
    }
  }

  async retryFailed({ queue, ...search }: RetrySearch): Promise<RetryPage> {
    return await retryFailed(this.#engine, (name) => this.#stored(name), await this.#scope(queue), search);
  }

  async schedules(queue?: string): Promise<readonly ScheduleView[]> {
    const views: ScheduleView[] = [];
    for (const name of await this.#scope(queue)) {
      for (const { id, task, lane, cron, every, timezone, next } of await this.#queue(name).schedules()) {
        views.push({
          id,
          task,
          queue: name,
          lane,
          ...(cron === undefined ? {} : { cron }),
          ...(every === undefined ? {} : { every }),
          ...(timezone === undefined ? {} : { timezone }),
          ...(next === undefined ? {} : { next }),
        });
      }
    }
    return views;
  }

  async schedule(
    id: string,
    { queue = this.#defaultQueue, task, args, cron, every, timezone }: ScheduleRequest,
  ): Promise<void> {
    const definition = await this.#definition(task);
    // Both or neither of cron and every is for the queue to refuse.
    const when = {
      ...(cron === undefined ? {} : { cron }),
      ...(every === undefined ? {} : { every }),
      ...(timezone === undefined ? {} : { timezone }),
    } as When;
    await this.#queue(queue).schedule(id, when, definition as TaskDefinition<unknown[], unknown>, ...args);
  }

  async unschedule(id: string, queue?: string): Promise<void> {
    for (const name of await this.#scope(queue)) {
      for (const lane of lanes) if (await this.#stored(name).lane(lane).removeJobScheduler(id)) return;
    }
    throw new ServiceError(
      404,
      "SCHEDULE_UNKNOWN",
      `there is no schedule ${id}; taskloom schedule lists them.`,
    );
  }

  async close(): Promise<void> {
    await Promise.allSettled([
      ...[...this.#queues.values()].map((queue) => queue.close()),
      ...[...this.#laneQueues.values()].map((queues) => queues.close()),
      ...[...this.#lanes.values()].map((queue) => queue.close()),
      this.#presence.close(),
    ]);
  }
}

/** A worker that was seen, as one that serves. */
function servingOf({ id, queues, tasks }: WorkerView): ServingWorker {
  return { id, queues, tasks: Object.fromEntries(tasks.map(({ name, version }) => [name, version])) };
}

/** Whether anything is in a queue, or anybody takes jobs from it. */
function isInUse({ loop, thread, isPaused, workers }: QueueView): boolean {
  const jobs = [loop, thread].map(
    ({ waiting, active, delayed, completed, failed, cancelled }) =>
      waiting + active + delayed + completed + failed + cancelled,
  );
  return isPaused || workers > 0 || jobs.some((count) => count > 0);
}
