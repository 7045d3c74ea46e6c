import { isTaskDefinition } from "@taskloom/queue";
import type { Lane, ResolvedTaskOptions, TaskDefinition } from "@taskloom/queue";
import { formatForest } from "./task-tree.ts";
import type { TaskForest } from "./task-tree.ts";

/** A task that a worker knows, in the form that it stores: enough to submit the task without its module. */
export interface KnownTask extends Omit<ResolvedTaskOptions, "module" | "args" | "strict" | "limits"> {
  /** The limits of the task; undefined without any, and in the record of a worker that does not store them. */
  readonly limits: readonly KnownLimit[] | undefined;
}

/** A limit of a task that a worker knows. */
export interface KnownLimit {
  readonly kind: "concurrency" | "rate";
  readonly max: number;
  /** Milliseconds; 0 for a limit of the concurrency. */
  readonly window: number;
  /** The origin of its key, if it has one: the `limitKey` of the submission, or a function of the worker's own. */
  readonly key?: "limitKey" | "function";
}

type Limit = NonNullable<ResolvedTaskOptions["limits"]>[number];

/** A job that a worker runs now. */
export interface RunningJob {
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  readonly lane: Lane;
  readonly attempt: number;
  /** The number of its calls, if the job is a pack of a `queue.map`. */
  readonly calls?: number;
  /** Milliseconds of `Date.now()` on the worker's machine. */
  readonly startedAt: number;
}

/** Returns the task of a job for a person; a pack also shows the number of its calls. */
export function taskLabel({ task, calls }: { readonly task: string; readonly calls?: number }): string {
  return calls === undefined ? task : `${task} ×${calls.toLocaleString("en-US")}`;
}

/** One lane of a worker: the jobs that run, that have run, and that may run at once. */
export interface WorkerLane {
  readonly running: number;
  readonly finished: number;
  readonly limit: number;
}

/** The record of a worker process, which the worker stores about once a second. */
export interface WorkerView {
  readonly id: string;
  /**
   * `HOST:SERVICE/NUMBER`: the machine, the process id of the service, and the number of the worker in it. A process
   * that replaces a dead one has the same slot. Two services of one machine have different slots.
   */
  readonly slot: string;
  readonly host: string;
  readonly pid: number;
  /** The space in which `pid` is unique: a machine, or a container on it. */
  readonly pidSpace: string;
  readonly node: string;
  readonly version: string;
  /** Milliseconds of the engine's clock. */
  readonly startedAt: number;
  readonly seenAt: number;
  /** The age of the record in milliseconds, if it is too old: the worker is dead, cut off, or blocked by a task. */
  readonly silentFor?: number;
  /** The worker stores `running` or `draining`. A reader on the same machine finds that its process is `dead`. */
  readonly state: "running" | "draining" | "dead";
  readonly queues: readonly string[];
  readonly tasks: readonly KnownTask[];
  readonly lanes: {
    readonly loop: WorkerLane;
    readonly thread: WorkerLane;
    /** Only of a worker with a durable run among its tasks. */
    readonly workflow?: WorkerLane;
  };
  readonly loop: {
    /** Milliseconds, since the record before this one. */
    readonly delayP50: number;
    readonly delayP99: number;
    readonly delayMax: number;
    /** 0 to 1. */
    readonly utilization: number;
  };
  readonly admission: { readonly isThrottled: boolean; readonly reductions: number };
  /** Bytes. */
  readonly memory: { readonly rss: number; readonly heap: number };
  readonly jobs: readonly RunningJob[];
  readonly tree: TaskForest;
}

/** Returns the live tasks of a worker as lines of text; a loop task that runs a job has the name of the job's task. */
export function workerTree({ jobs, tree }: Pick<WorkerView, "jobs" | "tree">): string[] {
  const tasks = new Map(jobs.map((job) => [job.id, taskLabel(job)]));
  return formatForest(tree, ({ name }) => (tasks.has(name) ? `${tasks.get(name)} ${name}` : undefined));
}

/** Returns the tasks that modules export, in the form that a worker stores. */
export function knownTasks(modules: readonly object[]): KnownTask[] {
  return taskDefinitions(modules).map(({ task }) => {
    const { name, version, runsOn, timeout, attempts } = task;
    // A function stays in the worker, which calls it.
    const backoff = typeof task.backoff === "function" ? undefined : task.backoff;
    const limits = task.limits?.map(knownLimit);
    return { name, version, runsOn, timeout, attempts, backoff, limits };
  });
}

function knownLimit({ kind, max, window, key }: Limit): KnownLimit {
  const limit = { kind, max, window };
  return key === undefined ? limit : { ...limit, key: typeof key === "function" ? "function" : key };
}

/** Returns the task definitions that modules export. */
export function taskDefinitions(modules: readonly object[]): TaskDefinition[] {
  return modules.flatMap((module) => Object.values(module).filter(isTaskDefinition));
}
