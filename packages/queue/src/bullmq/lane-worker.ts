import { setImmediate, setTimeout as delay } from "node:timers/promises";
import { Job, Worker } from "bullmq";
import type { BackendFactory, ConnectionOptions, JobJson, RedisQueueBackend, WorkerOptions } from "bullmq";
import { repeatSettings } from "../cron/repeat-strategy.ts";
import type { HeldLocks } from "../contract/lock-holder.ts";
import { takeDeferredEnd, unreadableFailure } from "./deferred-end.ts";
import type { LaneProcessor, WorkerLane, LaneWorkerOptions } from "../contract/engine-worker.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { pauseBeforeRepeat, untilAnswered } from "../contract/transient.ts";
import type { Transient } from "../contract/transient.ts";

/** So many jobs are asked for at once at most: each is a command on the engine. */
const askedForAtMost = 16;
/**
 * How long an idle worker leaves a job that is due to others, in milliseconds: one that it has put back itself, and any
 * other while it has put one back not long ago. A worker that knows all tasks waits for neither.
 */
const leftToOthersFor = { own: 100, any: 40 };
const remembersPutBack = 5_000;
/** BullMQ's pause after a refused connection, which comes on top of those of {@link LaneWorker.delay}; milliseconds. */
const refusedPause = 500;
/** For how long a worker that closes goes on to store ends that the engine refuses; milliseconds. */
const storesWhileClosing = 2_000;

/**
 * BullMQ's worker, taught that a job whose end is decided before it starts, as by the cancel flag, still goes to its
 * processor, which ends it as cancelled or failed. Left to itself BullMQ would fail it with a bare message.
 */
export class LaneWorker extends Worker implements WorkerLane {
  #running = 0;
  readonly #transient: (error: unknown) => Transient | undefined;
  /** How many jobs were fetched and have not started. */
  #held = 0;
  /** The job that was fetched last is all there is: it is to start before more is asked for. */
  #cameAlone = false;
  #hasJustStarted = false;
  /** How many jobs are asked for at once: more each time that there were so many, since BullMQ asks for one by one. */
  #asking = 1;
  /** What came beyond the one that was asked for; it goes next. */
  readonly #spare: Job[] = [];
  /** How often in a row the engine did not answer when it was asked for jobs. */
  #failures = 0;
  /** Whether the last question for jobs found none. */
  #isIdle = false;
  /** When jobs are due that this worker has put back for others. */
  #leftToOthers: number[] = [];
  /** Whether it waits for a job to be added; what it is given meanwhile, beyond the one that ends the wait, would lie. */
  #isWaiting = false;
  /** Whether this worker woke because a job was due, and not because one was added. */
  #wokeWhenDue = false;
  /** Ends that the engine refuses are not stored any more: the worker is closed. */
  #gaveUp = false;

  // The connection's type differs per backend; the engine that passes a factory passes the connection that fits it.
  constructor(
    name: string,
    processor: LaneProcessor,
    transient: (error: unknown) => Transient | undefined,
    options: WorkerOptions & LaneWorkerOptions,
    backendFactory?: BackendFactory<RedisQueueBackend, ConnectionOptions>,
  ) {
    super(
      name,
      ((job: BullJob, token?: string) => processor(job, token, this)) as never,
      { runRetryDelay: refusedPause, ...options, settings: repeatSettings },
      backendFactory as never,
    );
    this.#transient = transient;
    const wait = this.backend.waitForJob.bind(this.backend);
    this.backend.waitForJob = async (...args) => {
      // An answer that came meanwhile may have said that there are no more jobs; these are here.
      if (this.#spare.length > 0) return { member: "", score: 0 };
      this.#isWaiting = true;
      const added = await wait(...args).finally(() => (this.#isWaiting = false));
      this.#wokeWhenDue = added === null;
      return added;
    };
    this.on("error", () => {}); // BullMQ retries by itself, and TaskWorker tells whoever wants to know.
  }

  isAlone(): boolean {
    return this.#running === 1;
  }

  leaveToOthers(time: number): void {
    const now = Date.now();
    this.#leftToOthers = this.#leftToOthers.filter((due) => due + remembersPutBack > now);
    this.#leftToOthers.push(time);
  }

  /** BullMQ calls this while it constructs the worker. */
  protected override createLockManager(): void {
    const { renewal } = this.opts as LaneWorkerOptions;
    if (renewal === undefined) super.createLockManager();
    else this.lockManager = renewal.managerFor(this);
  }

  /**
   * BullMQ asks for jobs until it has as many as it may run, or none is left, before it starts the first: a job that
   * comes alone would wait for a round trip that finds nothing. Here it starts, and the question follows.
   */
  protected override async moveToActive(
    ...args: Parameters<Worker["moveToActive"]>
  ): ReturnType<Worker["moveToActive"]> {
    if (this.#cameAlone) {
      this.#cameAlone = false;
      return undefined as never;
    }
    if (this.#hasJustStarted) {
      this.#hasJustStarted = false;
      await setImmediate(); // A quick job has ended by then, and its end goes first.
    }
    const job = this.#spare.shift() ?? (await this.#fetch(args));
    this.#cameAlone = this.#held === 1 && this.#running === 0 && job !== undefined;
    return job!;
  }

  /** Asks for as many jobs as there were the last time, twice over, and keeps all but the first. */
  async #fetch(args: Parameters<Worker["moveToActive"]>): Promise<Job | undefined> {
    if (this.#isIdle) await this.#leave();
    const room = this.concurrency - this.#running - this.#held;
    const count = this.#isWaiting ? 1 : Math.max(1, Math.min(this.#asking, room));
    const answers = await Promise.allSettled(
      Array.from({ length: count }, () => super.moveToActive(...args)),
    );
    const found = answers.flatMap((answer): Job[] =>
      answer.status === "fulfilled" && answer.value !== undefined ? [answer.value] : [],
    );
    const failed = answers.find((answer) => answer.status === "rejected");
    if (found.length === 0 && failed !== undefined) {
      if (this.#transient(failed.reason) !== undefined && this.closing === undefined) await this.delay();
      throw failed.reason;
    }
    this.#failures = 0;
    this.#isIdle = found.length === 0;
    this.#asking = found.length === count ? Math.min(count * 2, askedForAtMost) : 1;
    const [first, ...others] = found;
    if (others.length === 0) return first;
    this.#spare.push(...others);
    if (this.isPaused() || this.closing !== undefined || this.#isWaiting) await this.#giveBack();
    // The last answer may have been that there is no more, or not now; what is here goes before BullMQ heeds it.
    else Object.assign(this, { drained: false, limitUntil: 0, blockUntil: 0 });
    return first;
  }

  /**
   * Waits a little when a job is due that this worker may have put back: all idle workers wake at that time, and one
   * that knows no task for it would be as quick as one that does.
   */
  async #leave(): Promise<void> {
    const now = Date.now();
    const recent = this.#leftToOthers.filter((due) => due + remembersPutBack > now);
    if (recent.length === 0 || !this.#wokeWhenDue) return;
    const isOwn = recent.some((due) => due <= now + 1 && due + leftToOthersFor.own > now);
    await delay(isOwn ? leftToOthersFor.own : leftToOthersFor.any);
  }

  /** The pauses grow: BullMQ asks again after 100 ms, and at once in places, however long the engine is away. */
  override async delay(...[milliseconds, abort]: Parameters<Worker["delay"]>): Promise<void> {
    await super.delay(milliseconds ?? pauseBeforeRepeat(++this.#failures), abort);
  }

  async #giveBack(): Promise<void> {
    const jobs = this.#spare.splice(0);
    this.#held -= jobs.length;
    // The last first: on Redis each goes in front of all that waits.
    await Promise.allSettled(jobs.toReversed().map((job) => job.moveToWait(job.token)));
  }

  override async pause(...args: Parameters<Worker["pause"]>): Promise<void> {
    await super.pause(...args);
    await this.#giveBack();
  }

  override async close(force?: boolean): Promise<void> {
    global.setTimeout(() => (this.#gaveUp = true), force === true ? 0 : storesWhileClosing).unref();
    await super.close(force);
  }

  /**
   * Whether a job that was fetched has lost its lock before it starts: the process was stopped for longer than the lock
   * lasts, and locks are renewed from the start on. Another worker may run the job by now, so it is not started here; if
   * nobody has it, the next look for lapsed locks puts it back.
   */
  #hasLapsed({ processedOn }: Job): boolean {
    const { lockDuration } = this.opts as LaneWorkerOptions;
    return (
      processedOn !== undefined && lockDuration !== undefined && Date.now() - processedOn >= lockDuration
    );
  }

  /** BullMQ stops renewing a lock when the processor ends; here it is held until the end is stored, too. */
  override async processJob(...args: Parameters<Worker["processJob"]>): ReturnType<Worker["processJob"]> {
    const [job, token] = args;
    const { renewal } = this.opts as LaneWorkerOptions;
    const manager = renewal === undefined ? undefined : (this.lockManager as HeldLocks);
    const slot = manager?.hold(job.id!, token, job.name);
    this.#hasJustStarted = this.#running++ === 0 && this.#held === 1;
    this.#held--;
    this.#cameAlone = false;
    try {
      if (this.#hasLapsed(job)) return undefined;
      return await super.processJob(...args);
    } finally {
      this.#running--;
      if (slot !== undefined) manager?.release(slot);
    }
  }

  protected override handleCompleted(
    result: unknown,
    job: Job,
    token: string,
    ...rest: [fetchNextCallback?: () => boolean]
  ): Promise<Job> {
    return this.#untilStored(job, undefined, () => super.handleCompleted(result, job, token, ...rest));
  }

  protected override handleFailed(
    error: Error,
    job: Job,
    token: string,
    ...rest: [fetchNextCallback?: () => boolean]
  ): Promise<Job> {
    const before = job.stacktrace ?? [];
    return this.#untilStored(job, error, () => {
      job.stacktrace = [...before]; // Each try adds the error to it.
      return super.handleFailed(error, job, token, ...rest);
    });
  }

  /**
   * Stores an end until the engine has it: the work is done, and its lock is held. BullMQ would fail a job for an error
   * of the engine that passes, whatever the job came to, or let go of it, to run again when its lock lapses.
   */
  async #untilStored(job: Job, error: Error | undefined, store: () => Promise<Job>): Promise<Job> {
    const { attemptsMade } = job; // Counted up once the end is stored.
    let mayBeStored = false;
    for (let times = 1; ; times++) {
      // An answer that was lost is looked for first. BullMQ uses tokens again: if this worker has the next attempt of the
      // job by now, a repeated end would fit its lock, and end the wrong run.
      if (mayBeStored && (await this.#wasStored(job, error))) return undefined as never;
      try {
        return await store();
      } catch (refusal) {
        if (job.attemptsMade !== attemptsMade) throw refusal; // A listener's.
        if (this.#transient(refusal) === undefined) {
          if (times > 1 && (await this.#wasStored(job, error))) return undefined as never;
          throw refusal;
        }
        mayBeStored ||= this.#transient(refusal) === "cut";
        this.emit("error", refusal as Error);
        // Not thrown: BullMQ would store it as the job's failure.
        if (this.#gaveUp) return undefined as never;
      }
      await delay(pauseBeforeRepeat(times));
    }
  }

  /**
   * Whether an end that the engine refuses now was stored by a try before, whose answer was lost; then its listeners are
   * notified as if the answer had come.
   */
  async #wasStored(job: Job, error: Error | undefined): Promise<boolean> {
    const engine = { transient: this.#transient };
    const stored = await untilAnswered(
      engine,
      () => Job.fromId(this as never, job.id!),
      () => !this.#gaveUp,
    ).catch(() => undefined);
    if (stored === undefined || stored.attemptsMade <= job.attemptsMade) return false;
    const { finishedOn, returnvalue, attemptsStarted } = stored;
    const wasStartedAgain = attemptsStarted !== job.attemptsStarted;
    // A success is not tried again; a failure may have been, by this worker or another, and may have ended since.
    if (wasStartedAgain && error === undefined) return false;
    const hasEnded = finishedOn !== undefined && !wasStartedAgain;
    const attemptsMade = job.attemptsMade + 1;
    Object.assign(job, { attemptsMade, ...(hasEnded ? { finishedOn, returnvalue } : {}) });
    if (hasEnded && returnvalue !== null) this.emit("completed", job, returnvalue, "active");
    else this.emit("failed", job, error ?? new Error(stored.failedReason), "active");
    return true;
  }

  protected override async nextJobFromJobData(
    ...args: Parameters<Worker["nextJobFromJobData"]>
  ): ReturnType<Worker["nextJobFromJobData"]> {
    const job = await super.nextJobFromJobData(...args);
    // BullMQ drops a schedule's job whose next run it cannot store; it is taken again when its lock has lapsed.
    if (job === undefined && args[0] != null) this.#held--;
    return job;
  }

  /** A job whose data is not an object goes to its processor, too, which fails it: BullMQ would hold it for ever. */
  #readable(data: JobJson, jobId: string): ReturnType<Worker["createJob"]> {
    let job: ReturnType<Worker["createJob"]>;
    let fault: string | undefined;
    try {
      job = super.createJob(data, jobId);
      if (typeof job.data !== "object" || job.data === null || Array.isArray(job.data))
        fault = "its data is not an object";
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      job = super.createJob({ ...data, data: "{}" }, jobId);
      fault = "its data is not JSON";
    }
    if (fault === undefined) return job;
    job.data = {};
    job.deferredFailure = unreadableFailure(fault);
    return job;
  }

  protected override createJob(data: JobJson, jobId: string): ReturnType<Worker["createJob"]> {
    const job = this.#readable(data, jobId);
    this.#held++;
    takeDeferredEnd(job);
    return job;
  }
}
