import type { Engine } from "../contract/engine.ts";
import { jobId, laneQueueName, storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { LaneQueue, NewJob } from "../contract/lane-queue.ts";
import { untilAnswered } from "../contract/transient.ts";
import type { TaskDefinition } from "../definition/define-task.ts";
import { cancelStored } from "../operate/cancel.ts";
import type { CancelResult } from "../operate/cancel.ts";
import { LaneQueues } from "../operate/lane-queues.ts";
import type { JobData, ParentRun } from "../wire/job-data.ts";
import { outcomeOf } from "../wire/outcome.ts";
import type { Outcome } from "../wire/outcome.ts";
import { addJobs } from "./add-jobs.ts";
import { jobOptions } from "./submission.ts";
import { resolveSubmitOptions } from "./submit-options.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** A job or a child that a durable run submits. */
export interface RunJob {
  readonly task: TaskDefinition;
  /** The encoded list of arguments. */
  readonly args: JobData["args"];
  /** The options of the submission. The id is without its lane, and the same one each time the run is replayed. */
  readonly options: SubmitOptions & { readonly id: string };
  /** The queue of the job; by default that of the run. */
  readonly queue?: string | undefined;
  /** The time of the submission, from which a deadline counts, in milliseconds of the engine's clock. */
  readonly from: number;
  readonly run: ParentRun;
  readonly context?: unknown;
}

interface Unsent {
  readonly job: NewJob;
  readonly onRefused: (error: unknown) => void;
}

/**
 * The jobs and children of the durable runs of one lane. Nobody waits for them by a RemoteTask: their ends are delivered to
 * the inbox of their run. A job of an id that exists is not added again.
 */
export class RunJobs {
  readonly #engine: Engine;
  readonly #queue: string;
  readonly #queues = new Map<string, LaneQueues>();
  /** The jobs of this turn, by queue and lane. */
  #unsent = new Map<LaneQueue, Unsent[]>();
  #isClosed = false;

  /** @param queue the queue of the runs. */
  constructor(engine: Engine, queue: string) {
    this.#engine = engine;
    this.#queue = queue;
  }

  #queuesOf(queue: string | undefined): LaneQueues {
    const name = queue ?? this.#queue;
    let queues = this.#queues.get(name);
    if (queues === undefined) this.#queues.set(name, (queues = new LaneQueues(this.#engine, name)));
    return queues;
  }

  /**
   * Adds a job at the end of this turn, together with the others of the turn. The command is repeated until the engine
   * answers.
   *
   * @param onRefused is called with the error if the engine will never take the job.
   */
  add(
    { task, args, options: given, queue, from, run, context }: RunJob,
    onRefused: Unsent["onRefused"],
  ): void {
    try {
      const { runsOn, name, version } = task.task;
      if (task.task.limits !== undefined) this.#engine.limits.refuse?.(name, "a job of a durable run");
      const options = resolveSubmitOptions(given);
      const { deadline, tags = [], timeout = task.task.timeout, limitKey } = options;
      const data: JobData = {
        v: 1,
        version,
        args,
        run,
        ...(deadline === undefined ? {} : { deadline: from + deadline }),
        ...(timeout === undefined ? {} : { timeout }),
        ...(tags.length === 0 ? {} : { tags }),
        ...(limitKey === undefined ? {} : { limitKey }),
        ...(context === undefined ? {} : { context }),
      };
      const job = { name, data, opts: { ...jobOptions(task.task, options), jobId: jobId(runsOn, given.id) } };
      const lane = this.#queuesOf(queue).lane(runsOn);
      if (this.#unsent.size === 0) this.#engine.defer(() => this.#send());
      const unsent = this.#unsent.get(lane);
      if (unsent === undefined) this.#unsent.set(lane, [{ job, onRefused }]);
      else unsent.push({ job, onRefused });
    } catch (error) {
      onRefused(error);
    }
  }

  #send(): void {
    const unsent = this.#unsent;
    this.#unsent = new Map();
    for (const [lane, jobs] of unsent) void this.#sendTo(lane, jobs);
  }

  async #sendTo(lane: LaneQueue, unsent: readonly Unsent[]): Promise<void> {
    const jobs = unsent.map(({ job }) => job);
    try {
      await untilAnswered(
        this.#engine,
        () => addJobs(lane, jobs),
        () => !this.#isClosed,
      );
    } catch (error) {
      if (this.#isClosed) return;
      // The engine can refuse one job of many. Those that it has taken are not refused.
      for (const { job, onRefused } of unsent) {
        await untilAnswered(this.#engine, () => addJobs(lane, [job])).catch(() => onRefused(error));
      }
    }
  }

  /** Returns the ends of jobs, in the order of the ids; undefined for a job that has not ended, null for one that is not there. */
  async ends(
    queue: string | undefined,
    lane: Lane,
    ids: readonly string[],
  ): Promise<(Outcome | undefined | null)[]> {
    const name = laneQueueName(queue ?? this.#queue, lane);
    const stored = await untilAnswered(
      this.#engine,
      () =>
        this.#engine.lookup(
          name,
          ids.map((id) => storedId(jobId(lane, id))),
        ),
      () => !this.#isClosed,
    );
    return stored.map((each) => {
      if (each.kind === "missing") return null;
      return each.kind === "finished" ? outcomeOf(each.record) : undefined;
    });
  }

  /**
   * Cancels a job or a child, once.
   *
   * @param key the name of the cancel: a child receives a repeated one once.
   */
  async cancel(
    queue: string | undefined,
    lane: Lane,
    id: string,
    message: string,
    key: string,
  ): Promise<CancelResult> {
    return await untilAnswered(
      this.#engine,
      () => cancelStored(this.#queuesOf(queue), lane, jobId(lane, id), message, key),
      () => !this.#isClosed,
    );
  }

  /** Closes the lanes that were opened. The jobs continue. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#queues.values()].map((queues) => queues.close()));
  }
}
