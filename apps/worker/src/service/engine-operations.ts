import {
  type Engine,
  type Lane,
  type SubmitOptions,
  type TaskDefinition,
  type When,
  TaskQueue,
  defineTask,
} from "@taskloom/queue";
import { laneOfJobId, laneQueueName, lanes } from "@taskloom/queue/operating";
import type { Job, JobType, Queue } from "bullmq";
import { viewJob } from "./job-record.ts";
import {
  type FailedGroup,
  type JobSearch,
  type JobView,
  type LaneCounts,
  type Operations,
  type QueueView,
  type ScheduleRequest,
  type ScheduleView,
  type SubmitRequest,
} from "./operations.ts";
import { Presence } from "./presence.ts";
import { ServiceError, didYouMean } from "./service-error.ts";
import { type WorkerView, taskDefinitions } from "./worker-view.ts";

/** How many jobs of a state a search or a grouping looks at. */
const searchedAtMost = 1_000;
/** The pauses between looks at a job that somebody waits for, in milliseconds. */
const firstPause = 20;
const longestPause = 250;
/** How long the tasks that other workers know are taken as known; a submission must not cost a look at all workers. */
const knownFor = 2_000;

/** Operations on an engine that this process can reach. */
export class EngineOperations implements Operations {
  readonly #engine: Engine;
  readonly #queueNames: readonly string[];
  readonly #local: ReadonlyMap<string, TaskDefinition>;
  readonly #presence: Presence;
  readonly #queues = new Map<string, TaskQueue>();
  readonly #lanes = new Map<string, Queue>();
  #known: { readonly at: number; readonly tasks: Promise<ReadonlyMap<string, TaskDefinition>> } | undefined;

  /**
   * @param queues the queues that are shown; the first one is used when a request names none.
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
    };
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

  async #find(
    id: string,
    queue: string | undefined,
  ): Promise<{ readonly job: Job; readonly queue: string; readonly lane: Lane }> {
    // A scheduled run has an id of BullMQ's own, and one's own id may have been given without its lane.
    const own = laneOfJobId(id);
    for (const name of queue === undefined ? this.#queueNames : [queue]) {
      for (const lane of own === undefined ? lanes : [own]) {
        const open = this.lane(name, lane);
        const job =
          (await open.getJob(id)) ?? (own === undefined ? await open.getJob(`${lane}.${id}`) : undefined);
        if (job !== undefined) return { job, queue: name, lane };
      }
    }
    throw new ServiceError(
      404,
      "JOB_UNKNOWN",
      `there is no job ${id} in ${queue === undefined ? `queue ${this.#queueNames.join(", ")}` : `queue ${queue}`}: it was never there, or was removed at the end of its time.`,
    );
  }

  async job(id: string, queue?: string): Promise<JobView> {
    const found = await this.#find(id, queue);
    return await viewJob(found.job, found.queue, found.lane);
  }

  async ended(id: string, milliseconds: number, queue?: string): Promise<JobView> {
    const end = performance.now() + milliseconds;
    const found = await this.#find(id, queue);
    const lane = laneQueueName(found.queue, found.lane);
    for (let pause = firstPause; ; pause = Math.min(pause * 1.5, longestPause)) {
      const [stored] = await this.#engine.look(lane, [found.job.id as string]);
      const left = end - performance.now();
      if (stored?.kind !== "pending" || left <= 0) return await this.job(found.job.id as string, found.queue);
      await new Promise((resolve) => setTimeout(resolve, Math.min(pause, left)));
    }
  }

  async logs(id: string, from: number, queue?: string): Promise<readonly string[]> {
    const found = await this.#find(id, queue);
    return (await this.lane(found.queue, found.lane).getJobLogs(found.job.id as string, from)).logs;
  }

  async cancel(id: string, reason: string, queue?: string): Promise<JobView> {
    const found = await this.#find(id, queue);
    const task = this.#queue(found.queue).attach(found.job.id as string);
    task.catch(() => {});
    task.cancel(reason);
    return await this.ended(found.job.id as string, 2_000, found.queue);
  }

  async jobs({ queue, state, text, limit = 50 }: JobSearch): Promise<readonly JobView[]> {
    const found: JobView[] = [];
    const wanted = text?.toLowerCase() ?? "";
    for (const name of queue === undefined ? this.#queueNames : [queue]) {
      for (const lane of lanes) {
        for (const [stored, states] of storedStates) {
          if (state !== undefined && !states.includes(state)) continue;
          const jobs = await this.lane(name, lane).getJobs([stored], 0, searchedAtMost - 1);
          for (const job of jobs) {
            if (job === undefined || !matches(job, wanted)) continue;
            const view = await viewJob(job, name, lane, stored);
            if (state === undefined || view.state === state) found.push(view);
          }
        }
      }
    }
    return found.toSorted((a, b) => b.submittedAt - a.submittedAt).slice(0, limit);
  }

  async queues(): Promise<Readonly<Record<string, QueueView>>> {
    const views: Record<string, QueueView> = {};
    await Promise.all(
      this.#queueNames.map(async (name) => {
        const [loop, thread, isPaused] = await Promise.all([
          this.#laneCounts(name, "loop"),
          this.#laneCounts(name, "thread"),
          this.lane(name, "loop").isPaused(),
        ]);
        views[name] = { loop, thread, isPaused };
      }),
    );
    return Object.fromEntries(this.#queueNames.map((name) => [name, views[name] as QueueView]));
  }

  async #laneCounts(queue: string, lane: Lane): Promise<LaneCounts> {
    const [counts, [oldest]] = await Promise.all([
      this.#queue(queue).counts(lane),
      this.lane(queue, lane).getJobs(["waiting", "prioritized"], 0, 0, true),
    ]);
    return {
      ...counts,
      oldestWait: oldest === undefined ? 0 : Math.max(0, Math.round(this.#engine.now() - oldest.timestamp)),
    };
  }

  async pause(queue: string, isPaused: boolean): Promise<void> {
    this.#checkQueue(queue);
    await (isPaused ? this.#queue(queue).pause() : this.#queue(queue).resume());
  }

  #checkQueue(queue: string): void {
    if (!this.#queueNames.includes(queue)) {
      throw new ServiceError(
        404,
        "QUEUE_UNKNOWN",
        `this service has no queue ${queue}.${didYouMean(queue, this.#queueNames)} It has: ${this.#queueNames.join(", ")}.`,
      );
    }
  }

  async workers(): Promise<readonly WorkerView[]> {
    return (await this.#presence.all()).toSorted((a, b) => a.slot.localeCompare(b.slot));
  }

  async failed(queue?: string): Promise<readonly FailedGroup[]> {
    const groups = new Map<string, FailedGroup & { count: number; lastAt: number; ids: string[] }>();
    for (const job of await this.jobs({
      state: "failed",
      limit: searchedAtMost,
      ...(queue === undefined ? {} : { queue }),
    })) {
      const error = job.error ?? { name: "Error", message: "without a reason" };
      const key = `${job.task}\n${error.name}\n${withoutParticulars(error.message)}`;
      const group = groups.get(key);
      if (group === undefined) {
        groups.set(key, { task: job.task, error, count: 1, lastAt: job.finishedAt ?? 0, ids: [job.id] });
      } else {
        group.count++;
        group.lastAt = Math.max(group.lastAt, job.finishedAt ?? 0);
        group.ids.push(job.id);
      }
    }
    return [...groups.values()].toSorted((a, b) => b.count - a.count);
  }

  async retry(id: string, queue?: string): Promise<void> {
    const found = await this.#find(id, queue);
    const state = await found.job.getState();
    if (state !== "failed") {
      throw new ServiceError(
        409,
        "JOB_NOT_FAILED",
        `job ${id} is ${state}; only what has failed for good can be retried.`,
      );
    }
    await found.job.retry("failed");
  }

  async schedules(queue?: string): Promise<readonly ScheduleView[]> {
    const views: ScheduleView[] = [];
    for (const name of queue === undefined ? this.#queueNames : [queue]) {
      for (const lane of lanes) {
        for (const scheduler of await this.lane(name, lane).getJobSchedulers(0, searchedAtMost - 1)) {
          views.push({
            id: scheduler.key,
            task: scheduler.name,
            queue: name,
            lane,
            ...(scheduler.pattern == null ? {} : { cron: scheduler.pattern }),
            ...(scheduler.every == null ? {} : { every: scheduler.every }),
            ...(scheduler.tz == null ? {} : { timezone: scheduler.tz }),
            ...(scheduler.next == null ? {} : { next: scheduler.next }),
          });
        }
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
    for (const name of queue === undefined ? this.#queueNames : [queue]) {
      for (const lane of lanes) if (await this.lane(name, lane).removeJobScheduler(id)) return;
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
      ...[...this.#lanes.values()].map((queue) => queue.close()),
      this.#presence.close(),
    ]);
  }
}

/** BullMQ's states, and what they are called here: a cancelled job is stored as completed. */
const storedStates: readonly (readonly [JobType, readonly string[]])[] = [
  ["active", ["active"]],
  ["waiting", ["waiting"]],
  ["prioritized", ["waiting"]],
  ["delayed", ["delayed"]],
  ["waiting-children", ["waiting-children"]],
  ["failed", ["failed"]],
  ["completed", ["completed", "cancelled"]],
];

function matches(job: Job, text: string): boolean {
  if (text === "") return true;
  if ((job.id ?? "").toLowerCase().includes(text) || job.name.toLowerCase().includes(text)) return true;
  return JSON.stringify((job.data as { args?: unknown }).args ?? [])
    .toLowerCase()
    .includes(text);
}

/** A message without its numbers, ids and quoted parts, so that one mistake makes one group. */
function withoutParticulars(message: string): string {
  return message.replaceAll(
    /"[^"]*"|'[^']*'|[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9A-HJKMNP-TV-Z]{26}\b|\d+/gi,
    "…",
  );
}
