import type { ServingWorker } from "@taskloom/queue/operating";
import { didYouMean } from "@taskloom/loop/did-you-mean";
import { defineTask } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import { ServiceError } from "../errors/service-error.ts";
import { taskDefinitions } from "../workers/worker-view.ts";
import type { KnownTask, WorkerView } from "../workers/worker-view.ts";
import { KNOWN_FOR_MS } from "./known-queues.ts";

/** A task whose arguments come from JSON. */
export type SubmittableTask = TaskDefinition<unknown[]>;

/** A task that a worker knows, as a definition of this process. */
interface RemoteTask {
  /** The definition of a submission with a `limitKey`. */
  readonly keyed: SubmittableTask;
  /** The definition of any other submission. */
  readonly plain: SubmittableTask;
}

/** The tasks of this process, and the tasks that the workers of an engine know. */
export class KnownTasks {
  readonly #local: ReadonlyMap<string, SubmittableTask>;
  readonly #workers: () => Promise<readonly WorkerView[]>;
  readonly #others: () => Promise<readonly ServingWorker[]>;
  #remote: { readonly at: number; readonly tasks: Promise<ReadonlyMap<string, RemoteTask>> } | undefined;

  /** @param modules task modules of this process; the arguments of their tasks are checked before they are sent. */
  constructor(
    modules: readonly object[],
    workers: () => Promise<readonly WorkerView[]>,
    others: () => Promise<readonly ServingWorker[]>,
  ) {
    this.#others = others;
    this.#local = new Map(taskDefinitions(modules).map((task) => [task.task.name, task as SubmittableTask]));
    this.#workers = workers;
  }

  /**
   * Returns a task by its name.
   *
   * @param hasLimitKey whether the submission has a `limitKey`.
   * @throws {@link ServiceError} with the code `TASK_UNKNOWN` if neither this process nor a worker knows it.
   */
  async find(name: string, hasLimitKey = false): Promise<SubmittableTask> {
    const local = this.#local.get(name);
    if (local !== undefined) return local;
    if (this.#remote === undefined || performance.now() - this.#remote.at > KNOWN_FOR_MS) {
      this.#remote = { at: performance.now(), tasks: this.#readWorkers() };
    }
    const remote = await this.#remote.tasks;
    const found = remote.get(name);
    if (found !== undefined) return hasLimitKey ? found.keyed : found.plain;
    if ((await this.#others()).some(({ tasks }) => Object.hasOwn(tasks, name))) {
      throw new ServiceError(
        404,
        "TASK_UNKNOWN",
        `A worker of another program knows task ${name}, and stores its name only; name its module with --module, or run it by taskloom worker MODULE`,
      );
    }
    const names = [...new Set([...this.#local.keys(), ...remote.keys()])].toSorted();
    throw new ServiceError(
      404,
      "TASK_UNKNOWN",
      names.length === 0
        ? `No running worker knows a task ${name}; start one with taskloom worker MODULE, or name the module with --module`
        : `No worker knows a task ${name}.${didYouMean(name, names)} The known tasks are ${names.join(", ")}`,
    );
  }

  async #readWorkers(): Promise<ReadonlyMap<string, RemoteTask>> {
    const tasks = new Map<string, RemoteTask>();
    for (const worker of await this.#workers()) {
      for (const task of worker.tasks) {
        const known = tasks.get(task.name);
        if (known === undefined || known.plain.task.version < task.version)
          tasks.set(task.name, remoteTask(task));
      }
    }
    return tasks;
  }
}

/**
 * Returns the definitions of a known task. The function of a limit's key is in the worker alone. Without a `limitKey` this
 * process cannot compute such a key, so the definition has no limits, and the job enters the line of its limit when a worker
 * takes it.
 */
function remoteTask(task: KnownTask): RemoteTask {
  const keyed = definitionOf(task);
  const isComputable = task.limits?.every(({ key }) => key !== "function") ?? true;
  return { keyed, plain: isComputable ? keyed : definitionOf({ ...task, limits: undefined }) };
}

/** Returns a definition that can be submitted, and that cannot run here. */
function definitionOf({
  name,
  version,
  runsOn,
  attempts,
  timeout,
  backoff,
  limits,
}: KnownTask): SubmittableTask {
  const options = {
    name,
    version,
    attempts,
    runsOn: runsOn === "workflow" ? ("loop" as const) : runsOn,
    module: "taskloom:elsewhere",
    ...(timeout === undefined ? {} : { timeout }),
    ...(backoff === undefined ? {} : { backoff }),
  };
  const definition = defineTask(options, (..._args: unknown[]): never => {
    throw new TypeError(`Task ${name} is known by its name only and cannot run here; submit it`);
  });
  // A `limitKey` replaces the result of each function, so any limit with a key is one of the `limitKey`.
  const named = limits?.map((limit) => ({
    ...limit,
    key: limit.key === undefined ? undefined : ("limitKey" as const),
  }));
  // Only a definition with the runner of the lane runs there. A submitter needs no runner.
  return Object.assign(definition, { task: { ...definition.task, runsOn, limits: named } });
}
