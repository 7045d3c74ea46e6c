import { TimeoutError } from "@taskloom/loop";
import { cancelReasonOf, failureOf, unreadableReason } from "../bullmq/deferred-end.ts";
import type { WorkerLane } from "../contract/engine-worker.ts";
import type { Engine } from "../contract/engine.ts";
import { DelayedError } from "../contract/moved-job.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { untilAnswered, untilDone } from "../contract/transient.ts";
import type { RunnableTask } from "../definition/define-task.ts";
import { WorkerDiedError } from "../errors.ts";
import type { FlowData } from "../wire/job-data.ts";
import { StoredFailure, cancelledEnvelope } from "../wire/outcome.ts";
import { WireError } from "../wire/wire-error.ts";
import { childFailure, childOutcomes } from "./flow-children.ts";
import { checkedArguments } from "./job-arguments.ts";
import type { ReportUnknown } from "./job-events.ts";
import { PutBacks } from "./put-backs.ts";
import { ReportedIds } from "./reported-ids.ts";

/**
 * A job may outlive this many deaths of its worker even if its `attempts` are fewer. One death may be a deployment; more
 * deaths are likely the fault of the job.
 */
const FORGIVEN_DEATHS = 3;

/** A job that may run, with all that its run needs. */
export interface AdmittedJob {
  readonly kind: "run";
  readonly definition: RunnableTask;
  readonly args: readonly unknown[];
  /** Milliseconds until the deadline; undefined without one. */
  readonly left: number | undefined;
  readonly childResults: readonly unknown[];
}

/** The answer of {@link JobAdmission.admit}: the job may run, or has ended before its run with `result` to store. */
export type Admission = AdmittedJob | { readonly kind: "end"; readonly result: unknown };

/** The parts of a worker that {@link JobAdmission} needs. */
export interface JobAdmissionOptions {
  readonly engine: Engine;
  readonly lane: Lane;
  readonly tasks: ReadonlyMap<string, RunnableTask>;
  readonly reportUnknown: ReportUnknown;
  /**
   * Whether a job is refused whose deadline has passed, or under which too many workers died. The runner of durable runs
   * judges both by itself: a run starts often, and can clean up after its deadline.
   */
  readonly limits: boolean;
}

/** Decides whether a job that a worker has taken may run. */
export class JobAdmission {
  readonly #engine: Engine;
  readonly #lane: Lane;
  readonly #tasks: ReadonlyMap<string, RunnableTask>;
  readonly #reportUnknown: ReportUnknown;
  readonly #limits: boolean;
  readonly #reported = new ReportedIds();
  readonly #putBacks = new PutBacks();

  constructor({ engine, lane, tasks, reportUnknown, limits }: JobAdmissionOptions) {
    this.#engine = engine;
    this.#lane = lane;
    this.#tasks = tasks;
    this.#reportUnknown = reportUnknown;
    this.#limits = limits;
  }

  /**
   * Admits a job, or returns the result with which it ends: a job that was cancelled before is not run. The answer is a
   * promise only if it needs the engine or an asynchronous schema: each turn of microtasks shows in the number of jobs
   * that a worker runs.
   *
   * @throws {@link StoredFailure} for a job that fails without a run, and an error that {@link LaneProcessor} describes
   *   for a job of an unknown task or version, which is put back.
   */
  admit(job: BullJob, lock: string, lane?: WorkerLane): Admission | Promise<Admission> {
    const cancelled = cancelReasonOf(job);
    if (cancelled !== undefined) return { kind: "end", result: cancelledEnvelope(cancelled || undefined) };
    refuseUnreadable(job, this.#lane);
    const failure = failureOf(job);
    if (failure !== undefined) return this.#failBefore(job, failure);
    const definition = this.#tasks.get(job.name);
    if (definition === undefined || !isFor(definition, job)) return this.putBack(job, lock, lane);
    if (this.#limits) refuseDeadly(job, this.#lane);
    const left = this.#timeLeft(job);
    const { flow } = job.data;
    if (flow !== undefined) return this.#afterChildren(job, flow, definition, left);
    return admitted(job, definition, left, []);
  }

  async #failBefore(job: BullJob, failure: string): Promise<never> {
    const error = await untilAnswered(this.#engine, () => childFailure(this.#engine, job, failure));
    throw new StoredFailure(error, { final: true });
  }

  async #afterChildren(
    job: BullJob,
    flow: FlowData,
    definition: RunnableTask,
    left: number | undefined,
  ): Promise<Admission> {
    const { cancelled, results } = await untilAnswered(this.#engine, () =>
      childOutcomes(this.#engine, job, flow),
    );
    if (cancelled !== undefined) return { kind: "end", result: cancelledEnvelope(cancelled) };
    return await admitted(job, definition, left, results);
  }

  /** Puts a job back that no task of this worker fits. It never fails for that: in a deployment, another worker fits. */
  async putBack(job: BullJob, lock: string, lane: WorkerLane | undefined): Promise<never> {
    const id = job.id!;
    const version = job.plain === undefined ? job.data.version : undefined;
    if (this.#reported.isFirst(id))
      this.#reportUnknown({ id: publicId(this.#lane, id), name: job.name, version });
    const isForNobody = await this.#isForNobody(job.name, version);
    const due = isForNobody ? Number.POSITIVE_INFINITY : Date.now() + this.#putBacks.next(id);
    if (!isForNobody) lane?.leaveToOthers(due);
    await untilDone(this.#engine, () => job.moveToDelayed(due, lock));
    throw new DelayedError();
  }

  /**
   * Returns whether all workers are in this process, and none of them fits. Such a job waits for the start of a worker: under
   * a virtual clock it would be put back for ever, without a moment between.
   */
  async #isForNobody(name: string, version: number | undefined): Promise<boolean> {
    if (!this.#engine.isLocal) return false;
    return (await this.#engine.serving()).every(
      ({ tasks }) => tasks[name] === undefined || tasks[name] !== version,
    );
  }

  /** Returns the milliseconds until a job's deadline, or undefined without one; fails a job whose deadline has passed. */
  #timeLeft({ id, name, data: { deadline } }: BullJob): number | undefined {
    if (deadline === undefined) return undefined;
    const left = deadline - this.#engine.now();
    if (left > 0 || !this.#limits) return left;
    const message = `Job ${publicId(this.#lane, id!)} (${name}) was not started, since its deadline had passed ${Math.ceil(-left)} ms before`;
    throw new StoredFailure(new TimeoutError(message), { final: true });
  }
}

function admitted(
  job: BullJob,
  definition: RunnableTask,
  left: number | undefined,
  childResults: readonly unknown[],
): Admission | Promise<Admission> {
  const checking = checkedArguments(definition, job);
  const admit = (args: readonly unknown[]): Admission => ({
    kind: "run",
    definition,
    args,
    left,
    childResults,
  });
  return checking instanceof Promise ? checking.then(admit) : admit(checking);
}

/** Returns whether a task runs a job: a job of BullMQ's own client names no version. */
function isFor({ task }: RunnableTask, { data, plain }: BullJob): boolean {
  return plain !== undefined || (task.version === data.version && data.v === 1);
}

/** Fails a job whose record cannot be read. */
function refuseUnreadable(job: BullJob, lane: Lane): void {
  const reason = unreadableReason(job);
  if (reason === undefined) return;
  const message = `Job ${publicId(lane, job.id!)} (${job.name}) cannot be run, since ${reason}; submit it again`;
  throw new StoredFailure(new WireError("MALFORMED", "job", message), { final: true });
}

/** Fails a job under which too many workers have died. */
function refuseDeadly({ id, name, opts, stalledCounter }: BullJob, lane: Lane): void {
  if (stalledCounter <= Math.max(opts.attempts ?? 1, FORGIVEN_DEATHS)) return;
  const message = `Job ${publicId(lane, id!)} (${name}) was running in each of ${stalledCounter} workers that died, so it is not retried; find out why they died, and retry the job`;
  throw new StoredFailure(new WorkerDiedError(message), { final: true });
}
