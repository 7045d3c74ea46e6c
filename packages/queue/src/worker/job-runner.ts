import { CancelledError, TimeoutError, createTask } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import type { ThreadPoolExecutor } from "@taskloom/offload";
import { backoffDelay } from "../definition/backoff.ts";
import type { RunnableTask } from "../definition/define-task.ts";
import type { CancelRequest } from "../contract/cancellation.ts";
import type { WorkerLane } from "../contract/engine-worker.ts";
import type { Engine } from "../contract/engine.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { WaitingError } from "../contract/moved-job.ts";
import { untilAnswered, untilDone } from "../contract/transient.ts";
import { UnrecoverableError } from "../errors.ts";
import { publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { StoredFailure, cancelledEnvelope } from "../wire/outcome.ts";
import { encodeValue } from "../wire/encode.ts";
import { runAsJob } from "./current-job.ts";
import type { CurrentJob } from "./current-job.ts";
import { EarlyCancels } from "./early-cancels.ts";
import { HandBacks } from "./hand-backs.ts";
import { JobAdmission } from "./job-admission.ts";
import type { AdmittedJob } from "./job-admission.ts";
import type { ReportUnknown } from "./job-events.ts";
import { JobLog } from "./job-log.ts";
import type { LaneRunner } from "./lane-runner.ts";
import type { LaneSlots } from "./lane-slots.ts";
import { LimitedRuns } from "./limited-runs.ts";
import type { TakenSlots } from "./limited-runs.ts";
import type { OutcomeReplies } from "./outcome-replies.ts";
import { ownBackoff } from "./own-backoff.ts";
import { ProgressRelay } from "./progress-relay.ts";
import { runLimit, withinLimit } from "./run-limit.ts";
import type { RunLimit } from "./run-limit.ts";
import { runPack } from "./run-pack.ts";
import type { ItemOptions } from "./run-pack.ts";
import { runInSubmissionContext } from "./submission-context.ts";

/** The reason for which a run is being stopped. */
type Stop =
  | { readonly kind: "cancel"; readonly reason: string }
  /** The worker stops, and hands the job back. */
  | { readonly kind: "hand back" }
  /** The run has lost its lock, so another worker may run the job. */
  | { readonly kind: "lost" };

/** One run of one job, from its start to its end. */
interface Run {
  readonly task: Task<unknown>;
  /** The position among the runs of the lane. */
  readonly order: number;
  readonly token: string;
  readonly attemptsStarted: number;
  readonly startedAt: number | undefined;
  stop: Stop | undefined;
}

/** An admitted job, under its lock. */
interface RunnableJob extends AdmittedJob {
  readonly job: BullJob;
  readonly lock: string;
  /** The slots of a limited job. */
  readonly slots: TakenSlots | undefined;
}

/** The parts of a worker that its {@link JobRunner} needs. */
export interface JobRunnerOptions {
  readonly engine: Engine;
  readonly lane: Lane;
  readonly laneName: string;
  readonly tasks: ReadonlyMap<string, RunnableTask>;
  /** The threads of the thread lane; undefined for the loop lane. */
  readonly threads: ThreadPoolExecutor | undefined;
  /** The places of the lane, if jobs share them with the steps of durable runs. */
  readonly slots: LaneSlots | undefined;
  readonly replies: OutcomeReplies;
  readonly reportUnknown: ReportUnknown;
  /** Notified of a limited job that has its slots, and starts. */
  readonly onStart: (job: BullJob) => void;
}

/** A run that has begun. */
interface StartedRun {
  readonly task: Task<unknown>;
  /** The end of the run. Its value is there as soon as the body returns, a turn of the loop before the task is done. */
  readonly end: Promise<unknown>;
}

/** Runs the jobs of one lane: as tasks of the loop, or as calls on the thread pool. */
export class JobRunner implements LaneRunner {
  readonly #engine: Engine;
  readonly #lane: Lane;
  readonly #laneName: string;
  readonly #threads: ThreadPoolExecutor | undefined;
  readonly #slots: LaneSlots | undefined;
  readonly #replies: OutcomeReplies;
  readonly #admission: JobAdmission;
  readonly #tasks: ReadonlyMap<string, RunnableTask>;
  readonly #limits: LimitedRuns;
  readonly #onStart: (job: BullJob) => void;
  readonly #runs = new Map<string, Run>();
  readonly #early = new EarlyCancels();
  readonly #handBacks = new HandBacks(
    () => [...this.#runs.values()].filter(({ stop }) => stop?.kind === "hand back").length,
  );
  #begun = 0;
  #isStopping = false;

  constructor(options: JobRunnerOptions) {
    const { engine, lane, laneName, threads, slots, replies } = options;
    this.#engine = engine;
    this.#lane = lane;
    this.#laneName = laneName;
    this.#threads = threads;
    this.#slots = slots;
    this.#replies = replies;
    this.#tasks = options.tasks;
    this.#limits = new LimitedRuns(engine, laneName);
    this.#onStart = options.onStart;
    this.#admission = new JobAdmission({ ...options, limits: true });
  }

  /** The number of runs. */
  get running(): number {
    return this.#runs.size;
  }

  /** The number of runs that have stopped, and whose end or hand-back is being stored. */
  get ending(): number {
    return [...this.#runs.values()].filter(({ task }) => task.done()).length;
  }

  /**
   * The processor of the lane: ends a job that cannot run, puts a job of an unknown task back, and runs any other
   * job. Resolves with the value to store as the job's result.
   */
  async process(job: BullJob, token: string | undefined, lane?: WorkerLane): Promise<unknown> {
    const lock = token!; // A lane's worker passes the token of the lock with every job.
    const answer = this.#admission.admit(job, lock, lane);
    const admission = answer instanceof Promise ? await answer : answer;
    if (admission.kind === "end") return admission.result;
    if (admission.definition.task.limits === undefined)
      return await this.#run({ ...admission, job, lock, slots: undefined }, lane);
    const slots = await this.#limits.enter(job, lock, admission.definition, admission.args);
    this.#onStart(job);
    return await this.#run({ ...admission, job, lock, slots }, lane);
  }

  /** Whether a job starts only when it has a slot of each of its limits. */
  isLimited({ name }: BullJob): boolean {
    return this.#tasks.get(name)?.task.limits !== undefined;
  }

  async #run(runnable: RunnableJob, lane: WorkerLane | undefined): Promise<unknown> {
    const { job, lock } = runnable;
    const { strict } = runnable.definition.task;
    const id = job.id!;
    const { task, end } = this.#start(runnable);
    const run: Run = {
      task,
      order: this.#begun++,
      token: lock,
      attemptsStarted: job.attemptsStarted,
      startedAt: job.processedOn,
      stop: undefined,
    };
    this.#runs.set(id, run);
    const early = this.#early.of(id);
    if (early !== undefined) this.cancel(early);
    if (this.#isStopping) this.#handBack(run);
    let progress: ProgressRelay | undefined;
    const stopProgress = task.onProgress((value) => {
      progress ??= this.#relayOf(job, task);
      progress.report(value);
    });
    try {
      const value = await end;
      // BullMQ's own client reads the result of its job as plain JSON.
      const result = job.plain === undefined ? encodeValue(value) : value;
      const storing = progress?.settled();
      if (storing !== undefined) await storing;
      const stored = (strict ? await this.#seal(run, job) : undefined) ?? result;
      if (lane?.isAlone() === true) this.#replies.sendBehind(job, stored);
      return stored;
    } catch (error) {
      await progress?.settled();
      // A run that was stopped has to hand the job back, or to end it as cancelled, so it is not sealed.
      if (strict && run.stop === undefined && !(error instanceof WaitingError)) {
        const cancelledBefore = await this.#seal(run, job);
        if (cancelledBefore !== undefined) return cancelledBefore;
      }
      return await this.#ended(error, run, runnable);
    } finally {
      stopProgress();
      this.#runs.delete(id);
      if (runnable.slots !== undefined) this.#limits.leave(runnable.slots, run.stop?.kind === "hand back");
    }
  }

  async close(): Promise<void> {
    await this.#limits.settled();
  }

  #relayOf(job: BullJob, task: Task<unknown>): ProgressRelay {
    return new ProgressRelay(job, (encoded) => {
      const { reply } = job.data;
      if (reply !== undefined) this.#engine.replies.send(reply, { id: task.getName(), progress: encoded });
    });
  }

  #mayHaveLapsed({ processedOn }: BullJob): boolean {
    return processedOn !== undefined && Date.now() - processedOn >= this.#engine.locks.duration;
  }

  /**
   * Whether a job that is about to start still has its lock. A process can be paused between the moment at which it takes
   * a job and the first step of the job. If the pause was longer than a lock, another worker may run the job. If only
   * the loop was blocked for as long, the renewing thread has kept the lock. Therefore the engine is asked.
   */
  async #holds(job: BullJob, lock: string): Promise<boolean> {
    const { duration } = this.#engine.locks;
    const renewed = await untilAnswered(this.#engine, async () => await job.extendLock?.(lock, duration));
    return renewed !== 0;
  }

  #start({ job, lock, definition, args, left, childResults }: RunnableJob): StartedRun {
    const log = new JobLog((line) => untilAnswered(this.#engine, () => job.log(line)));
    const current: CurrentJob = {
      id: publicId(this.#lane, job.id!),
      childResults,
      attempt: job.attemptsMade + 1,
      deadline: left === undefined ? undefined : Date.now() + left,
      log: (line) => log.write(line),
    };
    // The timeout and the attempts of a pack are those of each of its items.
    const limit = runLimit(job.data.pack === true ? undefined : job.data.timeout, left);
    const call = (): unknown => this.#call(definition, args, job, (value) => task.reportProgress(value));
    const { promise: end, resolve, reject } = Promise.withResolvers<unknown>();
    const body = async (): Promise<void> => {
      if (this.#mayHaveLapsed(job) && !(await this.#holds(job, lock))) {
        this.abandon(job.id!);
        throw new CancelledError("the lock on this job was lost before it started");
      }
      const { attempts = 1 } = job.opts;
      const count = attempts > 1 ? `${current.attempt} of ${attempts}` : `${current.attempt}`;
      const run = `Attempt ${count} of job ${current.id} (${job.name})`;
      const value = await this.#inPlace(run, limit, call);
      resolve(log.settled()?.then(() => value) ?? value);
    };
    const task: Task<unknown> = runInSubmissionContext(job.data, () =>
      runAsJob(current, () => createTask(body, { name: current.id })),
    );
    task.addDoneCallback(() => {
      try {
        task.result();
      } catch (error) {
        void (log.settled() ?? Promise.resolve()).then(() => reject(error));
      }
    });
    return { task, end };
  }

  /** Calls the body of a run within its limit, and in a place of the lane if steps share them. */
  #inPlace(run: string, limit: RunLimit | undefined, call: () => unknown): unknown {
    const limited = limit === undefined ? call : (): unknown => withinLimit(limit, run, call);
    const slots = this.#slots;
    if (slots === undefined) return limited();
    // A deadline passes while the job waits for a place. A timeout is that of the run alone.
    if (limit?.kind === "deadline") return withinLimit(limit, run, () => slots.runJob(call));
    return slots.runJob(limited);
  }

  #call(
    definition: RunnableTask,
    args: readonly unknown[],
    job: BullJob,
    onProgress: (value: unknown) => void,
  ): unknown {
    if (job.data.pack === true)
      return runPack(definition, args.filter(isList), itemOptions(job, definition), this.#threads);
    if (this.#threads === undefined) return definition(...args);
    const running = this.#threads.submit(definition, ...args);
    running.onProgress(onProgress);
    return running;
  }

  /** Returns the value to store for a run that did not return, or throws the error by which the lane's worker ends the job. */
  async #ended(error: unknown, run: Run, { job, definition, left }: RunnableJob): Promise<unknown> {
    // The worker that has the job now stores its end. For a WaitingError, the lane's worker leaves the job alone.
    if (run.stop?.kind === "lost" || error instanceof WaitingError) throw new WaitingError();
    if (error instanceof CancelledError) {
      if (run.stop?.kind !== "hand back")
        return cancelledEnvelope((run.stop?.reason ?? error.message) || undefined);
      await this.#handBacks.add(run.order, () => untilDone(this.#engine, () => job.moveToWait(run.token)));
      throw new WaitingError();
    }
    const isLate =
      left !== undefined && error instanceof TimeoutError && job.data.deadline! <= this.#engine.now();
    const final = error instanceof UnrecoverableError || isLate || job.data.pack === true;
    const attempt = job.attemptsMade + 1;
    const isRetried = !final && attempt < (job.opts.attempts ?? 1);
    const backoff = isRetried ? ownBackoff(job.opts.backoff, definition) : undefined;
    const retryAfter = backoff && backoffDelay(backoff, attempt, error);
    const failed = {
      id: publicId(this.#lane, job.id!),
      task: job.name,
      attempt,
      attempts: Math.max(attempt, job.opts.attempts ?? 1),
      ...timesOf(run.startedAt, this.#engine.now()),
    };
    throw new StoredFailure(error, {
      final,
      retryAfter,
      attempt: job.data.pack === true ? undefined : failed,
    });
  }

  /**
   * Seals a run before its end is stored: the run accepts no cancel any more. Returns the envelope to store if a cancel
   * was accepted before.
   */
  async #seal(run: Run, job: BullJob): Promise<unknown> {
    const answer = await untilAnswered(this.#engine, () =>
      this.#engine.seal(this.#laneName, job.id!, run.token, run.attemptsStarted),
    );
    if (answer.kind === "lost") throw new WaitingError();
    return answer.kind === "cancelled" ? cancelledEnvelope(answer.reason || undefined) : undefined;
  }

  /** Cancels the run that a request names. An earlier or a later run of the same job is not affected. */
  cancel(request: CancelRequest): void {
    const run = this.#runs.get(request.id);
    if (run === undefined) {
      this.#early.keep(request);
      return;
    }
    if (
      run.token !== request.token ||
      run.attemptsStarted !== request.attemptsStarted ||
      run.startedAt !== request.startedAt
    ) {
      return;
    }
    run.stop = { kind: "cancel", reason: request.reason };
    run.task.cancel(request.reason || undefined);
  }

  /** Stops a run that has lost its lock. Another worker may run the job, and the engine would refuse this run's end. */
  abandon(id: string): void {
    const run = this.#runs.get(id);
    if (run === undefined) return;
    run.stop = { kind: "lost" };
    run.task.cancel("the lock on this job was lost");
  }

  /** Hands every running job back. Another worker can take it at once, and no attempt is spent. */
  async handBackAll(): Promise<void> {
    this.#isStopping = true;
    const tasks = [...this.#runs.values()].map((run) => {
      this.#handBack(run);
      return run.task;
    });
    await Promise.allSettled(tasks);
  }

  #handBack(run: Run): void {
    run.stop ??= { kind: "hand back" };
    run.task.cancel("the worker stops");
  }
}

/** Returns the times of an attempt that ends now. Clocks of two machines can differ, so the end is never before the start. */
function timesOf(startedAt: number | undefined, now: number): { startedAt?: number; endedAt: number } {
  return startedAt === undefined ? { endedAt: now } : { startedAt, endedAt: Math.max(startedAt, now) };
}

/** Whether an item of a pack is a list of arguments. `decodeArguments` has refused packs with any other item. */
function isList(item: unknown): item is readonly unknown[] {
  return Array.isArray(item);
}

/** Returns the options of a pack's items: each has those of a job of its own. */
function itemOptions({ opts, data }: BullJob, definition: RunnableTask): ItemOptions {
  const backoff = ownBackoff(opts.backoff, definition) ?? opts.backoff;
  return { attempts: opts.attempts ?? 1, backoff, timeout: data.timeout };
}
