import { didYouMean } from "@taskloom/loop/did-you-mean";
import { defineTask } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import { ServiceError } from "../errors/service-error.ts";
import { taskDefinitions } from "../workers/worker-view.ts";
import type { KnownTask, WorkerView } from "../workers/worker-view.ts";
import { KNOWN_FOR_MS } from "./known-queues.ts";

/** A task whose arguments come from JSON. */
export type SubmittableTask = TaskDefinition<unknown[]>;

/** The tasks of this process, and the tasks that the workers of an engine know. */
export class KnownTasks {
  readonly #local: ReadonlyMap<string, SubmittableTask>;
  readonly #workers: () => Promise<readonly WorkerView[]>;
  #remote: { readonly at: number; readonly tasks: Promise<ReadonlyMap<string, SubmittableTask>> } | undefined;

  /** @param modules task modules of this process; the arguments of their tasks are checked before they are sent. */
  constructor(modules: readonly object[], workers: () => Promise<readonly WorkerView[]>) {
    this.#local = new Map(taskDefinitions(modules).map((task) => [task.task.name, task as SubmittableTask]));
    this.#workers = workers;
  }

  /**
   * Returns a task by its name.
   *
   * @throws {@link ServiceError} with the code `TASK_UNKNOWN` if neither this process nor a worker knows it.
   */
  async find(name: string): Promise<SubmittableTask> {
    const local = this.#local.get(name);
    if (local !== undefined) return local;
    if (this.#remote === undefined || performance.now() - this.#remote.at > KNOWN_FOR_MS) {
      this.#remote = { at: performance.now(), tasks: this.#readWorkers() };
    }
    const remote = await this.#remote.tasks;
    const found = remote.get(name);
    if (found !== undefined) return found;
    const names = [...new Set([...this.#local.keys(), ...remote.keys()])].toSorted();
    throw new ServiceError(
      404,
      "TASK_UNKNOWN",
      names.length === 0
        ? `No running worker knows a task ${name}; start one with taskloom worker MODULE, or name the module with --module`
        : `No worker knows a task ${name}.${didYouMean(name, names)} The known tasks are ${names.join(", ")}`,
    );
  }

  async #readWorkers(): Promise<ReadonlyMap<string, SubmittableTask>> {
    const tasks = new Map<string, SubmittableTask>();
    for (const worker of await this.#workers()) {
      for (const task of worker.tasks) {
        const known = tasks.get(task.name);
        if (known === undefined || known.task.version < task.version)
          tasks.set(task.name, definitionOf(task));
      }
    }
    return tasks;
  }
}

/** Returns a definition that can be submitted, and that cannot run here. */
function definitionOf({ name, version, runsOn, attempts, timeout, backoff }: KnownTask): SubmittableTask {
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
  // Only a definition with the runner of the lane runs there. A submitter needs no runner.
  return Object.assign(definition, { task: { ...definition.task, runsOn } });
}
