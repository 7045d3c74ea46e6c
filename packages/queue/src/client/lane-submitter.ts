import { createHash } from "node:crypto";
import type { Engine } from "../contract/engine.ts";
import { jobId } from "../contract/lane.ts";
import { TaskQueue } from "./task-queue.ts";
import type { TaskDefinition } from "../definition/define-task.ts";
import type { RemoteTask } from "./remote-task.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** The longest id that a submission may have. */
const MAX_ID = 200;

/** The place of a submission within a durable run, from which its id follows. */
export interface PlaceInRun {
  /** The id of the run's job. */
  readonly run: string;
  /** The number of the command. */
  readonly n: number;
}

/**
 * Returns the id of a step, job or child of a run: the same one each time the run is replayed. The id of a run that a
 * schedule has made has colons, which no other id may have, and children of children have long ids.
 *
 * @example
 * ```ts
 * import { idInRun } from "@taskloom/queue/lane";
 *
 * console.log(idInRun({ run: "workflow.order-7", n: 3 })); // workflow.order-7/3
 * ```
 */
export function idInRun({ run, n }: PlaceInRun): string {
  const id = `${run.replaceAll(":", "~")}/${n}`;
  return id.length <= MAX_ID ? id : `${createHash("sha256").update(run).digest("hex")}/${n}`;
}

/**
 * Submits jobs and children of durable runs to the queue of the runs. A submission at one place of a run is one job,
 * however often it is made: after a crash, a replay makes it again, and attaches to the job.
 */
export class LaneSubmitter {
  readonly #queue: TaskQueue;

  constructor(engine: Engine, queue: string) {
    this.#queue = new TaskQueue({ engine, name: queue });
  }

  /**
   * Submits a job or a child run.
   *
   * @throws {@link TaskOptionsError} for an invalid option.
   */
  submit<A extends unknown[], R>(
    place: PlaceInRun,
    options: Omit<SubmitOptions, "id" | "deduplicate">,
    task: TaskDefinition<A, R>,
    ...args: A
  ): RemoteTask<Awaited<R>> {
    return this.#queue.with({ ...options, id: idInRun(place) }).submit(task, ...args);
  }

  /** Returns the id under which the engine stores the job of a place. */
  storedId(place: PlaceInRun, task: TaskDefinition): string {
    return jobId(task.task.runsOn, idInRun(place));
  }

  /** Stops waiting for the jobs, which continue. */
  close(): Promise<void> {
    return this.#queue.close();
  }
}
