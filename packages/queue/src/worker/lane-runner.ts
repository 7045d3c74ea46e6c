import type { CancelRequest } from "../contract/cancellation.ts";
import type { LaneProcessor, WorkerLane } from "../contract/engine-worker.ts";
import type { Engine } from "../contract/engine.ts";
import { DelayedError, WaitingError } from "../contract/moved-job.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import type { Lane } from "../contract/lane.ts";
import type { RunnableTask, TaskDefinition } from "../definition/define-task.ts";
import type { Admission } from "./job-admission.ts";
import type { WorkerListeners } from "./job-events.ts";
import type { OutcomeReplies } from "./outcome-replies.ts";
import type { StepRunner } from "./step-runner.ts";

/** The counts of a lane of durable runs since its start. */
export interface RunCounts {
  /** The number of appends to histories that the engine has answered. */
  readonly appends: number;
  /** The number of ticks that were replayed because a run was not in memory. */
  readonly replayed: number;
  /** The number of runs whose code does not follow their history. */
  readonly divergences: number;
}

/**
 * Runs the jobs that a worker has taken from one lane of one queue. The loop and thread lanes have a runner of this
 * package; a task definition brings that of the workflow lane.
 *
 * @remarks
 * The lane's consumer takes jobs, holds their locks and stores their ends. A runner decides what becomes of a job:
 *
 * - The job ends: {@link process} resolves with the result to store, encoded, or throws. A `StoredFailure` carries the
 *   error of the job.
 * - The job is elsewhere: {@link process} throws the error of {@link jobLeft}. The consumer stores nothing.
 *
 * A job that has left can come back before its {@link process} has ended, with another token. A runner that holds jobs by
 * their ids therefore compares the token before it drops one, and reads `attemptsStarted` at the start: on `memory:` both
 * runs have one job object.
 *
 * A resident run has a task of the worker's loop whose name is the id of its job, so that tools show where it is.
 */
export interface LaneRunner {
  /** The number of jobs that are here, from the call of {@link process} to its end. */
  readonly running: number;
  /** The number of jobs among them that have stopped, and whose end, parking or hand-back is being stored. */
  readonly ending: number;
  /** The counts of a lane of durable runs. */
  readonly counts?: RunCounts;
  /** Runs one job. */
  readonly process: LaneProcessor;
  /** Whether the runner itself notifies of the start of a job, because a job that it has taken may have to wait for a slot. */
  isLimited?(job: BullJob): boolean;
  /** Ends the run that a request names as cancelled. The engine has stored the request, so the job cannot go on. */
  cancel(request: CancelRequest): void;
  /**
   * Stops a run that has lost its lock. Another worker may run the job, so this run stores nothing more. A run that is just
   * being parked has given its lock up itself, and may be named, too.
   */
  abandon(id: string): void;
  /** Hands every job back, at the end of the drain. Resolves when all of them have left. */
  handBackAll(): Promise<void>;
  /** Called once before the lane takes jobs. The worker is ready when it has resolved. */
  start?(): Promise<void> | void;
  /**
   * Called when the worker stops, before the drain: the lane takes no more jobs. A runner hands back each job that does
   * not work right now, since the drain lasts until {@link running} is 0.
   */
  drain?(): void;
  /** Called after the lane is closed, in any case. */
  close?(): Promise<void> | void;
}

/** The parts of a worker that a {@link LaneRunner} needs, for one lane of one queue. */
export interface LaneContext {
  readonly engine: Engine;
  /** The name of the Taskloom queue. */
  readonly queue: string;
  readonly lane: Lane;
  /** The name of the lane at the engine. */
  readonly laneName: string;
  /** The tasks of the worker by their names, those of other lanes too. */
  readonly tasks: ReadonlyMap<string, RunnableTask>;
  /** The number of jobs that the lane has at once; it follows `TaskWorker.setConcurrency`. */
  readonly concurrency: number;
  readonly replies: OutcomeReplies;
  readonly listeners: WorkerListeners;
  /** Runs steps in the other lanes of this worker. */
  readonly steps: StepRunner;
  /**
   * Admits a job, as the other lanes do: a job that was cancelled before has ended, a job of an unknown task or version is
   * put back, and a record that cannot be read fails. Deadlines and deaths of workers are left to the runner.
   */
  admit(job: BullJob, token: string, lane?: WorkerLane): Admission | Promise<Admission>;
  /** Puts a job back that this worker's code does not fit, and reports it once. Throws the error to throw on. */
  putBack(job: BullJob, token: string, lane?: WorkerLane): Promise<never>;
}

/** Opens the runner of one lane of one queue. */
export type LaneRunnerFactory = (context: LaneContext) => LaneRunner;

/** The key under which a task definition brings the runner of its lane. All definitions of a worker bring the same one. */
export const laneRunner: unique symbol = Symbol.for("taskloom.laneRunner");

/** A task definition that brings the lane in which it runs. */
export interface LaneTaskDefinition<A extends unknown[] = never[], R = unknown> extends TaskDefinition<A, R> {
  readonly [laneRunner]: LaneRunnerFactory;
}

/** Returns the runner that a definition brings; undefined for a task of the loop or thread lane. */
export function laneRunnerOf(definition: object): LaneRunnerFactory | undefined {
  const factory: unknown = Reflect.get(definition, laneRunner);
  return typeof factory === "function" ? (factory as LaneRunnerFactory) : undefined;
}

/**
 * Returns the error that {@link LaneRunner.process} throws for a job that is elsewhere. The consumer then frees the place
 * of the job and the memory of its lock, and stores nothing:
 *
 * - `parked`: the runner has moved the job to the delayed jobs under its lock, as by `moveToDelayed`. The start has
 *   counted in `attemptsStarted`, and no attempt was spent.
 * - `handed back`: the runner has moved the job to the waiting jobs under its lock, as by `moveToWait`. No attempt was
 *   spent.
 * - `lost`: the lock is gone, and another worker may have the job.
 *
 * @example
 * ```ts
 * import { jobLeft } from "@taskloom/queue/lane";
 *
 * console.log(jobLeft("parked").name); // DelayedError
 * ```
 */
export function jobLeft(how: "parked" | "handed back" | "lost"): Error {
  return how === "parked" ? new DelayedError() : new WaitingError();
}
