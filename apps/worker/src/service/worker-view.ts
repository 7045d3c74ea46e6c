import { isTaskDefinition } from "@taskloom/queue";
import type { ResolvedTaskOptions, TaskDefinition } from "@taskloom/queue";
import { formatForest } from "./task-tree.ts";
import type { TaskForest } from "./task-tree.ts";

/** A task as a worker tells others that it knows it: enough to submit it without its module. */
export type KnownTask = Omit<ResolvedTaskOptions, "module" | "args" | "strict">;

/** A job that runs now. */
export interface RunningJob {
  readonly id: string;
  readonly task: string;
  readonly queue: string;
  readonly lane: "loop" | "thread";
  readonly attempt: number;
  /** How many calls it carries when it is one pack of a `queue.map`. */
  readonly calls?: number;
  /** `Date.now()` milliseconds of the worker's machine. */
  readonly startedAt: number;
}

/** A job's task as people are shown it: of a pack, with how many calls it carries. */
export function taskLabel({ task, calls }: { readonly task: string; readonly calls?: number }): string {
  return calls === undefined ? task : `${task} ×${calls.toLocaleString("en-US")}`;
}

/** One lane of a worker: what runs and has run, and how much may at once. */
export interface LaneView {
  readonly running: number;
  readonly finished: number;
  readonly limit: number;
}

/** A worker process as it tells of itself, about once a second. */
export interface WorkerView {
  readonly id: string;
  /**
   * `HOST:SERVICE/NUMBER`: the machine, the process id of the service, and the worker's number in it. The process that
   * takes the place of one that died has the same; two services on one machine differ.
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
  /** Milliseconds for which it has said nothing, when that is too long: it is dead, cut off, or held by a task. */
  readonly silentFor?: number;
  /** A worker tells of itself as running or draining; a reader on its machine sees that its process is gone. */
  readonly state: "running" | "draining" | "dead";
  readonly queues: readonly string[];
  readonly tasks: readonly KnownTask[];
  readonly lanes: { readonly loop: LaneView; readonly thread: LaneView };
  readonly loop: {
    /** Milliseconds since the last look. */
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

/** A worker's live tasks as lines of text; a task that runs a job is named after the job's task. */
export function workerTree({ jobs, tree }: Pick<WorkerView, "jobs" | "tree">): string[] {
  const tasks = new Map(jobs.map((job) => [job.id, taskLabel(job)]));
  return formatForest(tree, ({ name }) => (tasks.has(name) ? `${tasks.get(name)} ${name}` : undefined));
}

/** The tasks that modules export, as others are told of them. */
export function knownTasks(modules: readonly object[]): KnownTask[] {
  return taskDefinitions(modules).map(({ task }) => {
    const { name, version, runsOn, timeout, attempts, backoff } = task;
    return { name, version, runsOn, timeout, attempts, backoff };
  });
}

/** The task definitions that modules export. */
export function taskDefinitions(modules: readonly object[]): TaskDefinition[] {
  return modules.flatMap((module) => Object.values(module).filter(isTaskDefinition));
}
