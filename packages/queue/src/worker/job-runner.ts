import { CancelledError, TimeoutError, createTask } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import type { ThreadPoolExecutor } from "@taskloom/offload";
import { runInContext } from "@taskloom/offload/context";
import type { Propagated } from "@taskloom/offload/context";
import { DelayedError, WaitingError } from "bullmq";
import type { Backoff, TaskDefinition } from "../definition/define-task.ts";
import { cancelReasonOf, failureOf, unreadableReason } from "../bullmq/deferred-end.ts";
import type { CancelRequest } from "../contract/cancellation.ts";
import type { WorkerLane } from "../contract/engine-worker.ts";
import type { Engine } from "../contract/engine.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { untilAnswered, untilDone } from "../contract/transient.ts";
import { TaskArgumentsError, UnrecoverableError, WorkerDiedError } from "../errors.ts";
import { publicId } from "../contract/lane.ts";
import { decodeArguments } from "../wire/job-data.ts";
import { StoredFailure, cancelledEnvelope } from "../wire/outcome.ts";
import { decodeValue } from "../wire/decode.ts";
import { encodeValue } from "../wire/encode.ts";
import { WireError } from "../wire/wire-error.ts";
import { runAsJob } from "./current-job.ts";
import { childFailure, childOutcomes } from "./flow-children.ts";
import { HandBacks } from "./hand-backs.ts";
import { JobLog } from "./job-log.ts";
import type { OutcomeReplies } from "./outcome-replies.ts";
import { ProgressRelay } from "./progress-relay.ts";
import { PutBacks } from "./put-backs.ts";
import { runLimit, withinLimit } from "./run-limit.ts";
import { runPack } from "./run-pack.ts";
import type { ItemTerms } from "./run-pack.ts";

/** So many jobs are remembered as reported. */
const reportedAtMost = 10_000;
/** A cancel request can overtake the start of its run; it is kept for this long. */
const unmatchedRequestsFor = 2_000;
/** How often a job is run again after its worker died, at least: once may be a deploy, more is the job's own doing. */
const deathsForgiven = 3;

/** One run of one job, from its start to its end. */
interface Run {
  readonly task: Task<unknown>;
  /** Counts the runs of a lane. */
  readonly order: number;
  readonly token: string;
  readonly attemptsStarted: number;
  readonly startedAt: number | undefined;
  /** Why it is being stopped: the job was cancelled, this worker ends and gives it back, or its lock is lost. */
  stopping: "cancel" | "hand back" | "lost" | undefined;
  reason: string;
}

/** A run that has begun. */
interface Started {
  readonly task: Task<unknown>;
  /** How it ends. The value is there as soon as the body has it: a turn of the loop earlier than the task is done. */
  readonly end: Promise<unknown>;
}

/** What is told of jobs that this worker cannot run. */
export type ReportUnknown = (job: {
  readonly id: string;
  readonly name: string;
  readonly version: number;
}) => void;

/** Runs the jobs of one lane: as tasks of the loop, or as calls on the thread pool. */
export class JobRunner {
  readonly #engine: Engine;
  readonly #laneName: string;
  readonly #tasks: ReadonlyMap<string, TaskDefinition>;
  readonly #threads: ThreadPoolExecutor | undefined;
  readonly #replies: OutcomeReplies;
  readonly #reportUnknown: ReportUnknown;
  readonly #runs = new Map<string, Run>();
  readonly #unmatched = new Map<string, CancelRequest>();
  readonly #reported = new Set<string>();
  readonly #putBacks = new PutBacks();
  readonly #handBacks = new HandBacks(
    () => [...this.#runs.values()].filter(({ stopping }) => stopping === "hand back").length,
  );
  #begun = 0;
  #stopping = false;

  constructor(
    engine: Engine,
    laneName: string,
    tasks: ReadonlyMap<string, TaskDefinition>,
    threads: ThreadPoolExecutor | undefined,
    replies: OutcomeReplies,
    reportUnknown: ReportUnknown,
  ) {
    this.#engine = engine;
    this.#laneName = laneName;
    this.#tasks = tasks;
    this.#threads = threads;
    this.#replies = replies;
    this.#reportUnknown = reportUnknown;
  }

  get running(): number {
    return this.#runs.size;
  }

  /** How many of the runs have stopped, and have their end stored or their job handed back now. */
  get ending(): number {
    return [...this.#runs.values()].filter(({ task }) => task.done()).length;
  }

  /** BullMQ's processor for the lane. */
  async process(job: BullJob, token: string | undefined, lane?: WorkerLane): Promise<unknown> {
    const id = job.id!;
    const lock = token!;
    const cancelled = cancelReasonOf(job);
    if (cancelled !== undefined) return cancelledEnvelope(cancelled || undefined);
    // Every version of a submission has a `v`; PostgreSQL's backend makes an empty object of data that is null.
    const isSubmission = typeof (job.data.v as unknown) === "number";
    const unreadable = unreadableReason(job) ?? (isSubmission ? undefined : "its data is not a submission");
    if (unreadable !== undefined) {
      const message = `Job ${id} (${job.name}) cannot be run, since ${unreadable}; submit it again.`;
      throw new StoredFailure(new WireError("MALFORMED", "job", message), { final: true });
    }
    const failure = failureOf(job);
    if (failure !== undefined) {
      const error = await untilAnswered(this.#engine, () => childFailure(this.#engine, job, failure));
      throw new StoredFailure(error, { final: true });
    }
    const definition = this.#tasks.get(job.name);
    if (definition === undefined || definition.task.version !== job.data.version || job.data.v !== 1) {
      // Never failed for that: a worker that knows it may be on its way, as in every rolling deploy.
      this.#reportOnce({ id, name: job.name, version: job.data.version });
      const due = Date.now() + this.#putBacks.next(id);
      lane?.leaveToOthers(due);
      await untilDone(this.#engine, () => job.moveToDelayed(due, lock));
      throw new DelayedError();
    }
    const attempts = job.opts.attempts ?? 1;
    if (job.stalledCounter > Math.max(attempts, deathsForgiven)) {
      throw new StoredFailure(
        new WorkerDiedError(
          `Job ${id} (${job.name}) was running in each of ${job.stalledCounter} workers that died; it is not tried again.`,
        ),
        { final: true },
      );
    }
    const { deadline } = job.data;
    const left = deadline === undefined ? undefined : deadline - this.#engine.now();
    if (left !== undefined && left <= 0) {
      throw new StoredFailure(
        new TimeoutError(
          `Job ${id} (${job.name}) was not started: its deadline had passed ${Math.ceil(-left)} ms before.`,
        ),
        {
          final: true,
        },
      );
    }
    let childResults: readonly unknown[] = [];
    if (job.data.flow !== undefined) {
      const { flow } = job.data;
      const children = await untilAnswered(this.#engine, () => childOutcomes(this.#engine, job, flow));
      if (children.cancelled !== undefined) return cancelledEnvelope(children.cancelled);
      childResults = children.results;
    }
    const checking = this.#checkedArguments(definition, job);
    const args = checking instanceof Promise ? await checking : checking;
    const { task, end } = this.#start(definition, args, job, lock, left, childResults);
    const run: Run = {
      task,
      order: this.#begun++,
      token: lock,
      attemptsStarted: job.attemptsStarted,
      startedAt: job.processedOn,
      stopping: undefined,
      reason: "",
    };
    this.#runs.set(id, run);
    const early = this.#unmatched.get(id);
    if (early !== undefined) this.cancel(early);
    if (this.#stopping) this.#handBack(run);
    const progress = new ProgressRelay(job, (encoded) => {
      const { reply } = job.data;
      if (reply !== undefined) this.#engine.replies.send(reply, { id: task.getName(), progress: encoded });
    });
    const stopProgress = task.onProgress((value) => progress.report(value));
    try {
      const result = encodeValue(await end);
      const storing = progress.settled();
      if (storing !== undefined) await storing;
      const stored = (definition.task.strict ? await this.#seal(run, job) : undefined) ?? result;
      if (lane?.isAlone() === true) this.#replies.sendBehind(job, stored);
      return stored;
    } catch (error) {
      await progress.settled();
      // A run that was stopped has to give the job away, or to end it as cancelled, whatever else is true.
      if (definition.task.strict && run.stopping === undefined && !(error instanceof WaitingError)) {
        const cancelledBefore = await this.#seal(run, job);
        if (cancelledBefore !== undefined) return cancelledBefore;
      }
      return await this.#ended(error, run, job, left);
    } finally {
      stopProgress();
      this.#runs.delete(id);
    }
  }

  #mayHaveLapsed({ processedOn }: BullJob): boolean {
    return processedOn !== undefined && Date.now() - processedOn >= this.#engine.locks.duration;
  }

  /**
   * Whether a job that is about to start still has its lock. A process can be stopped between the moment it takes a job
   * and the job's first step; when that lasted for longer than a lock, another worker may run the job. A loop that stood
   * still for as long has kept the lock, which the thread renews: so the engine is asked.
   */
  async #holds(job: BullJob, lock: string): Promise<boolean> {
    const { duration } = this.#engine.locks;
    const renewed = await untilAnswered(this.#engine, async () => await job.extendLock?.(lock, duration));
    return renewed !== 0;
  }

  #start(
    definition: TaskDefinition,
    args: never[],
    job: BullJob,
    lock: string,
    left: number | undefined,
    childResults: readonly unknown[],
  ): Started {
    const { pack, context } = job.data;
    // The timeout and the attempts of a pack are those of each of its items.
    const limit = runLimit(pack === true ? undefined : job.data.timeout, left);
    const threads = this.#threads;
    const call = (): unknown => {
      if (pack === true) return runPack(definition, args, itemTerms(job), threads);
      if (threads === undefined) return definition(...args);
      const running = threads.submit(definition, ...args);
      running.onProgress((value) => task.reportProgress(value));
      return running;
    };
    const log = new JobLog((line) => untilAnswered(this.#engine, () => job.log(line)));
    const current = {
      id: publicId(threads === undefined ? "loop" : "thread", job.id!),
      childResults,
      attempt: job.attemptsMade + 1,
      deadline: left === undefined ? undefined : Date.now() + left,
      log: (line: string): Promise<void> => log.write(line),
    };
    const { promise: end, resolve, reject } = Promise.withResolvers<unknown>();
    const body = async (): Promise<void> => {
      if (this.#mayHaveLapsed(job) && !(await this.#holds(job, lock))) {
        this.abandon(job.id!);
        throw new CancelledError("the lock on this job was lost before it started");
      }
      const what = `Attempt ${current.attempt} of job ${current.id} (${job.name})`;
      const value = limit === undefined ? await call() : await withinLimit(limit, what, call);
      resolve(log.settled()?.then(() => value) ?? value);
    };
    const start = (): Task<unknown> => runAsJob(current, () => createTask(body, { name: current.id }));
    const task = context === undefined ? start() : runInContext(decodeValue(context) as Propagated, start);
    task.addDoneCallback(() => {
      try {
        task.result();
      } catch (error) {
        void (log.settled() ?? Promise.resolve()).then(() => reject(error));
      }
    });
    return { task, end };
  }

  /** At once where there is nothing to wait for: a turn of microtasks for each job shows in how many a worker runs. */
  #checkedArguments({ task }: TaskDefinition, job: BullJob): never[] | Promise<never[]> {
    let args: unknown[];
    try {
      args = decodeArguments(job.data);
    } catch (error) {
      throw new StoredFailure(error, { final: true });
    }
    const schema = job.data.pack === true ? undefined : task.args;
    return schema === undefined ? (args as never[]) : checked(task.name, schema, args);
  }

  async #ended(error: unknown, run: Run, job: BullJob, left: number | undefined): Promise<unknown> {
    // Whoever has the job now stores its end; BullMQ leaves one that waits alone.
    if (run.stopping === "lost" || error instanceof WaitingError) throw new WaitingError();
    if (error instanceof CancelledError && run.stopping === "hand back") {
      await this.#handBacks.add(run.order, () => untilDone(this.#engine, () => job.moveToWait(run.token)));
      throw new WaitingError();
    }
    if (error instanceof CancelledError)
      return cancelledEnvelope((run.stopping === "cancel" ? run.reason : error.message) || undefined);
    const deadlinePassed =
      left !== undefined && error instanceof TimeoutError && job.data.deadline! <= this.#engine.now();
    const final = error instanceof UnrecoverableError || deadlinePassed || job.data.pack === true;
    throw new StoredFailure(error, { final });
  }

  /** Closes a run to cancels before its end is stored. Gives the envelope to store if one was accepted before. */
  async #seal(run: Run, job: BullJob): Promise<unknown> {
    const answer = await untilAnswered(this.#engine, () =>
      this.#engine.seal(this.#laneName, job.id!, run.token, run.attemptsStarted),
    );
    if (answer.kind === "lost") throw new WaitingError();
    return answer.kind === "cancelled" ? cancelledEnvelope(answer.reason || undefined) : undefined;
  }

  #reportOnce(job: Parameters<ReportUnknown>[0]): void {
    if (this.#reported.has(job.id)) return;
    if (this.#reported.size >= reportedAtMost) this.#reported.clear();
    this.#reported.add(job.id);
    this.#reportUnknown(job);
  }

  /** Stops the run that a request names; a run of the same job before or after it is not touched. */
  cancel(request: CancelRequest): void {
    const run = this.#runs.get(request.id);
    if (run === undefined) {
      this.#unmatched.set(request.id, request);
      setTimeout(() => this.#unmatched.delete(request.id), unmatchedRequestsFor).unref();
      return;
    }
    if (
      run.token !== request.token ||
      run.attemptsStarted !== request.attemptsStarted ||
      run.startedAt !== request.startedAt
    ) {
      return;
    }
    run.stopping = "cancel";
    run.reason = request.reason;
    run.task.cancel(request.reason || undefined);
  }

  /** Stops a run whose lock is lost: somebody else may run the job by now, and this result would not be stored. */
  abandon(id: string): void {
    const run = this.#runs.get(id);
    if (run === undefined) return;
    run.stopping = "lost";
    run.task.cancel("the lock on this job was lost");
  }

  /** Gives back every job that runs: another worker has it at once, and no attempt is spent. */
  async handBackAll(): Promise<void> {
    this.#stopping = true;
    const tasks = [...this.#runs.values()].map((run) => {
      this.#handBack(run);
      return run.task;
    });
    await Promise.allSettled(tasks);
  }

  #handBack(run: Run): void {
    run.stopping ??= "hand back";
    run.task.cancel("the worker stops");
  }
}

/** Each item of a pack has what a job of its own would have. */
function itemTerms({ opts, data }: BullJob): ItemTerms {
  return {
    attempts: opts.attempts ?? 1,
    backoff: opts.backoff as Backoff | undefined,
    timeout: data.timeout,
  };
}

async function checked(
  name: string,
  schema: NonNullable<TaskDefinition["task"]["args"]>,
  args: readonly unknown[],
): Promise<never[]> {
  const result = await schema["~standard"].validate(args);
  if (result.issues === undefined) return [...result.value] as never[];
  throw new StoredFailure(new TaskArgumentsError(name, result.issues), { final: true });
}
