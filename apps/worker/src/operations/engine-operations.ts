import { setTimeout as delay } from "node:timers/promises";
import { settleWithin } from "@taskloom/loop/timer";
import { TaskQueue } from "@taskloom/queue";
import type { Engine, Lane, SubmitOptions, When } from "@taskloom/queue";
import {
  FailureGroups,
  LaneQueues,
  cleanJobs,
  failureKey,
  findJob,
  laneQueueName,
  lanes,
  listJobs,
  logPage,
  oldestWait,
  pauseSchedule,
  promoteStored,
  publicId,
  readActivity,
  readFailures,
  readJob,
  readRateLimit,
  readTaskLimits,
  removeStored,
  retryFailed,
  retryStored,
  runSchedule,
} from "@taskloom/queue/operating";
import type {
  Activity,
  ActivityQuery,
  CleanPage,
  JobPlace,
  RateLimit,
  RetryPage,
  ServingWorker,
} from "@taskloom/queue/operating";
import type { Queue } from "bullmq";
import { ServiceError } from "../errors/service-error.ts";
import { Presence } from "../workers/presence.ts";
import type { WorkerView } from "../workers/worker-view.ts";
import { viewError } from "./error-view.ts";
import { viewJob } from "./job-record.ts";
import { KnownQueues } from "./known-queues.ts";
import { KnownShards } from "./known-shards.ts";
import type { ShardsView } from "./known-shards.ts";
import { KnownTasks } from "./known-tasks.ts";
import { countAll, hasEnded } from "./operations.ts";
import { EngineRunOperations } from "./run-operations.ts";
import type {
  CleanSearch,
  FailedPage,
  JobPage,
  JobSearch,
  JobView,
  LaneCounts,
  LimitSearch,
  LimitsView,
  Operations,
  QueueView,
  RetrySearch,
  ScheduleRequest,
  ScheduleView,
  SubmitRequest,
  TaskLimitView,
} from "./operations.ts";

/** The jobs of a listing without a limit. */
const DEFAULT_LIMIT = 50;
/** The ids that a group of failures has at most. */
const MAX_GROUP_IDS = 1_000;
/** The pauses between the polls of an awaited job grow from the first to the longest. */
const FIRST_POLL_PAUSE_MS = 20;
const LONGEST_POLL_PAUSE_MS = 250;
/** The time that a cancelled job has to end before the answer. */
const CANCEL_WAIT_MS = 2_000;

/** Operations on an engine that this process can reach. */
export class EngineOperations implements Operations {
  readonly runs: EngineRunOperations;
  readonly #engine: Engine;
  readonly #presence: Presence;
  readonly #known: KnownQueues;
  readonly #tasks: KnownTasks;
  readonly #shards: KnownShards;
  readonly #queues = new Map<string, TaskQueue>();
  readonly #laneQueues = new Map<string, LaneQueues>();
  readonly #lanes = new Map<string, Queue>();
  /** The jobs that were submitted here and have not ended; each promise resolves when the reply of its end arrives. */
  readonly #submitted = new Map<string, JobPlace & { readonly ended: Promise<void> }>();

  /**
   * @param queues the queues that are shown even while they are empty; a submission without a queue goes to the first.
   * @param modules task modules of this process; the arguments of their tasks are checked before they are sent.
   */
  constructor(engine: Engine, queues: readonly string[], modules: readonly object[] = []) {
    this.#engine = engine;
    this.#presence = new Presence(engine);
    this.#known = new KnownQueues(engine, this.#presence, queues);
    this.runs = new EngineRunOperations(engine, this.#known, (name) => this.#queue(name));
    this.#tasks = new KnownTasks(
      modules,
      () => this.workers(),
      () => this.otherWorkers(),
    );
    this.#shards = new KnownShards(engine);
  }

  /** Returns the BullMQ queue of one lane, for bull-board. */
  lane(queue: string, lane: Lane): Queue {
    const name = laneQueueName(queue, lane);
    return opened(this.#lanes, name, () => this.#engine.openQueue(name));
  }

  #stored(queue: string): LaneQueues {
    return opened(this.#laneQueues, queue, () => new LaneQueues(this.#engine, queue));
  }

  #queue(name: string): TaskQueue {
    return opened(this.#queues, name, () => new TaskQueue({ engine: this.#engine, name }));
  }

  async submit(task: string, args: readonly unknown[], request: SubmitRequest = {}): Promise<JobView> {
    const { queue = this.#known.default, ...options } = request;
    const definition = await this.#tasks.find(task, options.limitKey !== undefined);
    const submitted = this.#queue(queue)
      .with(options satisfies SubmitOptions)
      .submit(definition, ...args);
    const { id } = submitted;
    const ended = submitted.then(
      () => {},
      () => {}, // The stored job has the error.
    );
    this.#submitted.set(id, { ended, queue, lane: definition.task.runsOn, stored: id });
    let notice: string | undefined;
    try {
      await submitted.sent();
      notice = await this.#known.whyNotServed(queue, task);
    } finally {
      // The caller that waits for the end asks for it in this turn of the event loop.
      void ended.then(() => setImmediate(() => this.#submitted.delete(id)));
    }
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

  async #find(id: string, queue: string | undefined): Promise<JobPlace> {
    const queues = await this.#known.scope(queue);
    const found = await findJob(this.#engine, queues, id);
    if (found !== undefined) return found;
    throw new ServiceError(
      404,
      "JOB_UNKNOWN",
      `There is no job ${id} in queue ${queues.join(", ")}; check the id, or its retention has removed the job`,
    );
  }

  async job(id: string, queue?: string): Promise<JobView> {
    return await this.#view(await this.#find(id, queue));
  }

  async #view(place: JobPlace): Promise<JobView> {
    const snapshot = await readJob(this.#stored(place.queue), place);
    if (snapshot !== undefined) return viewJob(snapshot);
    throw new ServiceError(404, "JOB_UNKNOWN", `Job ${place.stored} was removed after its retention`);
  }

  async waitForEnd(id: string, milliseconds: number, queue?: string): Promise<JobView> {
    const end = performance.now() + milliseconds;
    const submitted = this.#submitted.get(id);
    if (submitted !== undefined && (queue === undefined || submitted.queue === queue)) {
      await settleWithin(milliseconds, submitted.ended);
      const job = await readJob(this.#stored(submitted.queue), submitted);
      if (job !== undefined && (hasEnded(job.state) || performance.now() >= end)) return viewJob(job);
    }
    const found = await this.#find(id, queue);
    const lane = laneQueueName(found.queue, found.lane);
    for (let pause = FIRST_POLL_PAUSE_MS; ; pause = Math.min(pause * 1.5, LONGEST_POLL_PAUSE_MS)) {
      // The polls read no texts. The result is read once, at the end.
      const [record] = await this.#engine.readRecords(lane, [found.stored], {});
      const left = end - performance.now();
      if (record === undefined || record.finishedOn !== undefined || left <= 0)
        return await this.#view(found);
      await delay(Math.min(pause, left));
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
    return await this.waitForEnd(full, CANCEL_WAIT_MS, found.queue);
  }

  async jobs({ queue, limit = DEFAULT_LIMIT, ...search }: JobSearch): Promise<JobPage<JobView>> {
    const page = await listJobs(this.#engine, await this.#known.scope(queue), { ...search, limit });
    return { ...page, jobs: page.jobs.map(viewJob) };
  }

  async queues(): Promise<Readonly<Record<string, QueueView>>> {
    const serving = this.#engine.serving();
    const [names, workers, seen] = await Promise.all([
      this.#known.read(serving),
      serving,
      this.#presence.all(),
    ]);
    const running = seen.filter(({ state }) => state === "running");
    const views = await Promise.all(
      names.map(async (name): Promise<readonly [string, QueueView]> => {
        const [loop, thread, workflow, isPaused, limit] = await Promise.all([
          this.#laneCounts(name, "loop"),
          this.#laneCounts(name, "thread"),
          this.#laneCounts(name, "workflow"),
          this.#stored(name).lane("loop").isPaused(),
          readRateLimit(this.#stored(name)),
        ]);
        // A worker of a service is in both lists, a worker of a user's own process in the first one only.
        const live = Math.max(countServing(workers, name), countServing(running, name));
        const limited = limit === undefined ? {} : { limit };
        return [name, { loop, thread, workflow, isPaused, workers: live, ...limited }];
      }),
    );
    return Object.fromEntries(
      views.filter(([name, view]) => this.#known.isConfigured(name) || isInUse(view)),
    );
  }

  async #laneCounts(queue: string, lane: Lane): Promise<LaneCounts> {
    const stored = this.#stored(queue);
    const [counts, oldest] = await Promise.all([this.#queue(queue).counts(lane), oldestWait(stored, lane)]);
    return { ...counts, oldestWait: oldest };
  }

  async pause(queue: string, isPaused: boolean): Promise<void> {
    await this.#known.scope(queue);
    await (isPaused ? this.#queue(queue).pause() : this.#queue(queue).resume());
  }

  async limit(queue: string, limit: RateLimit | undefined): Promise<void> {
    await this.#known.scope(queue);
    await this.#queue(queue).limit(limit);
  }

  async limits({ queue, task, limit = DEFAULT_LIMIT }: LimitSearch): Promise<LimitsView> {
    const read = await Promise.all(
      (await this.#known.scope(queue)).map(async (name) => {
        const [ofQueue, ofTasks] = await Promise.all([
          readRateLimit(this.#stored(name)),
          readTaskLimits(this.#stored(name)),
        ]);
        const found = ofTasks.filter((each) => task === undefined || each.task === task);
        return {
          queues: ofQueue === undefined ? [] : [{ queue: name, ...ofQueue }],
          tasks: found.map((each): TaskLimitView => Object.assign(each, { queue: name })),
        };
      }),
    );
    // The sort is stable, so equal limits stay in the order of their names.
    const tasks = read.flatMap((each) => each.tasks).toSorted((a, b) => b.waiting - a.waiting);
    return {
      queues: read.flatMap((each) => each.queues),
      tasks: tasks.slice(0, limit),
      total: tasks.length,
    };
  }

  async drain(queue: string, options: { readonly delayed: boolean }): Promise<number> {
    await this.#known.scope(queue);
    return await this.#queue(queue).drain(options);
  }

  async activity({ queue, ...query }: ActivityQuery & { readonly queue?: string }): Promise<Activity> {
    const queues = queue === undefined ? undefined : await this.#known.scope(queue);
    return await readActivity(this.#engine, queues, query);
  }

  async workers(): Promise<readonly WorkerView[]> {
    return (await this.#presence.all()).toSorted((a, b) => a.slot.localeCompare(b.slot));
  }

  async otherWorkers(): Promise<readonly ServingWorker[]> {
    await this.#engine.connect();
    const [serving, seen] = await Promise.all([this.#engine.serving(), this.#presence.all()]);
    const shown = new Set(seen.map(({ host, pid }) => `${host}:${pid}`));
    // A service is shown by its records, and an earlier release stored no process.
    return serving.filter(
      ({ process }) => process !== undefined && !shown.has(`${process.host}:${process.pid}`),
    );
  }

  shards(): Promise<ShardsView> {
    return this.#shards.read();
  }

  async failed(queue?: string, cursor?: string): Promise<FailedPage> {
    const page = await readFailures(this.#engine, await this.#known.scope(queue), cursor);
    const groups = new FailureGroups(MAX_GROUP_IDS);
    for (const failure of page.failures) groups.add(failure);
    return {
      groups: groups.all().map(({ task, name, message, count, jobs }) => ({
        key: failureKey(task, name, message),
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
    await this.#change(id, queue, retryStored, "JOB_NOT_FAILED");
  }

  async remove(id: string, queue?: string): Promise<void> {
    await this.#change(id, queue, removeStored, "JOB_IN_USE");
  }

  async promote(id: string, queue?: string): Promise<void> {
    await this.#change(id, queue, promoteStored, "JOB_NOT_DELAYED");
  }

  /** Changes a stored job. A job whose state does not allow the change is answered with `refusal`. */
  async #change(
    id: string,
    queue: string | undefined,
    change: (queues: LaneQueues, lane: Lane, stored: string) => Promise<unknown>,
    refusal: string,
  ): Promise<void> {
    const { queue: name, lane, stored } = await this.#find(id, queue);
    try {
      await change(this.#stored(name), lane, stored);
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      if (code === "TASK_OPTIONS") throw new ServiceError(409, refusal, message, { cause: error });
      if (code === "JOB_LOST") throw new ServiceError(404, "JOB_UNKNOWN", message, { cause: error });
      throw error;
    }
  }

  async clean(queue: string, query: CleanSearch): Promise<CleanPage> {
    return await cleanJobs(this.#engine, (name) => this.#stored(name), await this.#known.scope(queue), query);
  }

  async retryFailed({ queue, ...search }: RetrySearch): Promise<RetryPage> {
    const queues = await this.#known.scope(queue);
    return await retryFailed(this.#engine, (name) => this.#stored(name), queues, search);
  }

  async schedules(queue?: string): Promise<readonly ScheduleView[]> {
    const views: ScheduleView[] = [];
    for (const name of await this.#known.scope(queue)) {
      for (const schedule of await this.#queue(name).schedules()) {
        const { id, task, lane, cron, every, timezone, next, isPaused } = schedule;
        views.push({
          id,
          task,
          queue: name,
          lane,
          isPaused,
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
    { queue = this.#known.default, task, args, cron, every, timezone }: ScheduleRequest,
  ): Promise<void> {
    const definition = await this.#tasks.find(task);
    // The queue refuses a request with both or neither of cron and every.
    const when = {
      ...(cron === undefined ? {} : { cron }),
      ...(every === undefined ? {} : { every }),
      ...(timezone === undefined ? {} : { timezone }),
    } as When;
    await this.#queue(queue).schedule(id, when, definition, ...args);
  }

  async runNow(id: string, queue?: string): Promise<string> {
    return await runSchedule(this.#stored(await this.#queueOfSchedule(id, queue)), id);
  }

  async pauseSchedule(id: string, isPaused: boolean, queue?: string): Promise<void> {
    await pauseSchedule(this.#stored(await this.#queueOfSchedule(id, queue)), id, isPaused);
  }

  async unschedule(id: string, queue?: string): Promise<void> {
    for (const name of await this.#known.scope(queue)) {
      for (const lane of lanes) if (await this.#stored(name).lane(lane).removeJobScheduler(id)) return;
    }
    throw unknownSchedule(id);
  }

  async #queueOfSchedule(id: string, queue: string | undefined): Promise<string> {
    await this.#engine.connect();
    for (const name of await this.#known.scope(queue)) {
      const found = await this.#stored(name).each((lane) => lane.getJobScheduler(id));
      if (found.some((schedule) => schedule != null)) return name;
    }
    throw unknownSchedule(id);
  }

  async close(): Promise<void> {
    const open = [...this.#queues.values(), ...this.#laneQueues.values(), ...this.#lanes.values()];
    await Promise.allSettled([...open.map((each) => each.close()), this.#presence.close()]);
  }
}

function unknownSchedule(id: string): ServiceError {
  return new ServiceError(
    404,
    "SCHEDULE_UNKNOWN",
    `There is no schedule ${id}; taskloom schedule lists the schedules`,
  );
}

function opened<T>(open: Map<string, T>, name: string, make: () => T): T {
  let found = open.get(name);
  if (found === undefined) open.set(name, (found = make()));
  return found;
}

function countServing(workers: readonly { readonly queues: readonly string[] }[], queue: string): number {
  return workers.filter(({ queues }) => queues.includes(queue)).length;
}

/** Returns whether a queue has jobs or workers, or is paused. */
function isInUse(view: QueueView): boolean {
  return view.isPaused || view.workers > 0 || lanes.some((lane) => countAll(view[lane]) > 0);
}
