import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import type { IQueueBackend, KeepJobs } from "bullmq";
import { takeDeferredEnd } from "../bullmq/deferred-end.ts";
import type { AnyBackend } from "../bullmq/any-backend.ts";
import type {
  EngineWorker,
  LaneProcessor,
  LaneWorkerOptions,
  WorkerLane,
} from "../contract/engine-worker.ts";
import type { ClaimedRecord, EndDelivery, LaneTurns, RunEnd } from "../contract/lane-driver.ts";
import type { LaneLockHolder, LockedLane } from "../contract/lock-holder.ts";
import { untilAnswered } from "../contract/transient.ts";
import type { Transient } from "../contract/transient.ts";
import { LaneLocks } from "../locks/lane-locks.ts";
import { BackendDriver } from "./backend-driver.ts";
import { ClaimedJob } from "./claimed-job.ts";
import { EndStore } from "./end-store.ts";
import { JobWait } from "./job-wait.ts";
import { LaneSource } from "./lane-source.ts";
import type { LaneSourceOptions } from "./lane-source.ts";
import { ScheduledRuns } from "./scheduled-runs.ts";
import { StalledCheck } from "./stalled-check.ts";
import { TurnLoop } from "./turn-loop.ts";
import { asError } from "../as-error.ts";
import { StoredFailure } from "../wire/outcome.ts";

/** The time for which a closing worker tries to store ends that the engine refuses. */
const CLOSING_STORE_MS = 2_000;
/** BullMQ's own limit of a wait for a rate limit. */
const LONGEST_LIMIT_MS = 30_000;
/** The names of the errors by which a processor reports that the job is elsewhere already, as in BullMQ. */
const MOVED: ReadonlySet<string> = new Set(["DelayedError", "WaitingError", "WaitingChildrenError"]);

/** The options of a lane's consumer. */
export interface LaneConsumerOptions extends LaneWorkerOptions {
  readonly connection: LaneSourceOptions["connection"];
  readonly prefix?: string;
  readonly transient: (error: unknown) => Transient | undefined;
  readonly backend?: AnyBackend;
  /** Returns the turns of the lane on an engine that stores many ends in one step. */
  readonly turns?: (backend: IQueueBackend) => LaneTurns;
}

/**
 * The worker of one lane, on every engine that stores BullMQ's data: it takes jobs in turns, passes them to the processor,
 * holds their locks, and stores their ends.
 *
 * A job whose end is decided before its start, as by the cancel flag, is passed to its processor, too, which ends the job
 * as cancelled or failed. A lock is renewed until the end is stored.
 */
export class LaneConsumer extends EventEmitter implements EngineWorker, WorkerLane, LockedLane {
  readonly id: string;
  readonly name: string;
  readonly lockDuration: number;
  readonly #source: LaneSource;
  readonly #processor: LaneProcessor;
  readonly #options: LaneConsumerOptions;
  readonly #locks: LaneLockHolder;
  readonly #wait: JobWait;
  readonly #loop: TurnLoop;
  readonly #ends: EndStore;
  readonly #schedules: ScheduledRuns;
  #concurrency: number;
  #stalledCheck: StalledCheck | undefined;
  #isOpen = false;
  #closing: Promise<void> | undefined;

  constructor(name: string, processor: LaneProcessor, options: LaneConsumerOptions) {
    super();
    const { lockDuration = 30_000, stalledInterval = 30_000, maxStalledCount = 1 } = options;
    this.id = options.id ?? randomUUID();
    this.name = name;
    this.lockDuration = lockDuration;
    this.#processor = processor;
    this.#options = options;
    this.#concurrency = options.concurrency ?? 1;
    const { connection, prefix, backend } = options;
    const terms = { connection, lockDuration, stalledInterval, maxStalledCount };
    this.#source = new LaneSource(name, prefix === undefined ? terms : { ...terms, prefix }, backend);
    this.#locks = options.renewal?.locksOf(this) ?? new LaneLocks(this);
    this.#wait = new JobWait(this.#source.backend, (error) => this.#onWaitError(error));
    this.#loop = this.#openLoop();
    this.#ends = new EndStore(this.#source, options.transient, (error) => this.emit("error", error));
    this.#schedules = new ScheduledRuns(this.#source);
  }

  #openLoop(): TurnLoop {
    const { transient, turns, places, maximumRateLimitDelay = LONGEST_LIMIT_MS } = this.#options;
    const { backend } = this.#source;
    return new TurnLoop({
      turns: turns?.(backend) ?? new BackendDriver(backend),
      wait: this.#wait,
      terms: { lockDuration: this.lockDuration, workerName: undefined },
      workerId: this.id,
      concurrency: () => this.#concurrency,
      places,
      onJobs: (jobs, token) => this.#onJobs(jobs, token),
      onError: (error) => this.#onError(error),
      longestLimit: maximumRateLimitDelay,
      isTransient: (error) => transient(error) !== undefined,
    });
  }

  /** BullMQ's backend of the lane. */
  get backend(): IQueueBackend {
    return this.#source.backend;
  }

  get concurrency(): number {
    return this.#concurrency;
  }

  set concurrency(value: number) {
    this.#concurrency = value;
    this.#loop.wake();
  }

  /** Looks for jobs again, after places that several lanes share have become free. */
  wake(): void {
    this.#loop.wake();
  }

  isAlone(): boolean {
    return this.#loop.running === 1;
  }

  leaveToOthers(time: number): void {
    this.#wait.leaveToOthers(time);
  }

  extend(ids: string[], tokens: string[]): Promise<string[]> {
    return this.backend.extendLocks(ids, tokens, this.lockDuration);
  }

  onLost(id: string): void {
    this.emit("lockRenewalFailed", [id]);
  }

  /** As in BullMQ, an error that a listener throws is an `error` of the worker and not of the job. */
  override emit(event: string, ...args: unknown[]): boolean {
    try {
      return event === "error" && this.listenerCount(event) === 0 ? false : super.emit(event, ...args);
    } catch (error) {
      return event !== "error" && this.emit("error", error);
    }
  }

  #onError(error: unknown): void {
    if (this.#isOpen) this.emit("error", asError(error));
  }

  /** A lost connection is opened again, and is no command that the engine refused. */
  #onWaitError(error: unknown): void {
    if (this.#options.transient(error) !== "cut") this.#onError(error);
  }

  async waitUntilReady(): Promise<void> {
    await this.#source.waitUntilReady();
  }

  async run(): Promise<void> {
    if (this.#closing !== undefined) return;
    this.#isOpen = true;
    const { stalledInterval = 30_000, restingInterval } = this.#options;
    const { backend } = this;
    this.#stalledCheck = new StalledCheck({
      interval: stalledInterval,
      recover: () => backend.moveStalledJobsToWait(),
      onError: (error) => this.#onError(error),
      resting:
        restingInterval === undefined
          ? undefined
          : { interval: restingInterval, isIdle: () => this.#isIdle() },
    });
    this.#loop.open();
  }

  /** Returns whether no job of the lane runs, here or in another worker. */
  async #isIdle(): Promise<boolean> {
    if (this.#loop.running > 0) return false;
    const [active] = await this.backend.getCounts(["active"]);
    return active === 0;
  }

  #onJobs(records: readonly ClaimedRecord[], token: string): void {
    if (!this.#isOpen) return void this.#handBack(records, token);
    for (const { id, record } of records) void this.#process(new ClaimedJob(this.#source, id, record), token);
  }

  /** Hands back jobs that came after the worker was paused. */
  async #handBack(records: readonly ClaimedRecord[], token: string): Promise<void> {
    // The last job is handed back first, because Redis puts each in front of all waiting jobs.
    const moves = records.toReversed().map(({ id }) => this.backend.moveJobFromActiveToWait(id, token));
    await Promise.allSettled(moves);
    for (let left = records.length; left > 0; left--) this.#loop.release();
  }

  async #process(job: ClaimedJob, token: string): Promise<void> {
    const lock = this.#locks.hold(job.id, token, job.name);
    takeDeferredEnd(job);
    let isStored = false;
    try {
      if (job.schedule !== undefined) await this.#storeNextRun(job, job.schedule);
      this.emit("active", job);
      if (!this.#hasLapsed(job)) {
        let end: () => Promise<boolean>;
        // The job is awaited here: a further async function would cost each resident run half a kilobyte.
        try {
          const result = await this.#processor(job, token, this);
          end = () => this.#complete(job, token, result);
        } catch (error) {
          end = () => this.#fail(job, token, asError(error));
        }
        isStored = await end();
      }
    } catch (error) {
      // The engine refused the end, so another worker may have the job.
      this.#onError(error);
    } finally {
      this.#locks.release(lock);
      if (!isStored) this.#loop.release();
    }
  }

  /** Stores the next run of a schedule. If the engine refuses that for good, this run still runs. */
  async #storeNextRun(job: ClaimedJob, key: string): Promise<void> {
    const store = (): Promise<void> => this.#schedules.storeNext(job, key);
    await untilAnswered(this.#options, store, () => this.#isOpen).catch((error: unknown) =>
      this.#onError(error),
    );
  }

  /**
   * Returns whether a claimed job has lost its lock before its start. The process was stopped for longer than a lock lasts.
   * Another worker may run the job by now, so it is not started here; otherwise the next check for lapsed locks recovers it.
   */
  #hasLapsed({ processedOn }: ClaimedJob): boolean {
    return processedOn !== undefined && Date.now() - processedOn >= this.lockDuration;
  }

  /** Returns whether the job's end was stored by a turn. */
  async #complete(job: ClaimedJob, token: string, result: unknown): Promise<boolean> {
    let text: string;
    let delivery: EndDelivery | undefined;
    try {
      text = JSON.stringify(result) ?? "null";
      delivery = this.#options.deliveryOf?.(job, { outcome: "completed", result });
    } catch (error) {
      return await this.#fail(job, token, asError(error));
    }
    const keep = keepOf(job.opts.removeOnComplete);
    const end = endOf(job, { token, outcome: "completed", text, keep, delivery });
    try {
      job.isDelivered = await this.#loop.store(end);
    } catch (refusal) {
      try {
        if (!(await this.#storeAgain(end, job, undefined, refusal))) return false;
      } catch (final) {
        return await this.#fail(job, token, asError(final));
      }
    }
    job.finishedOn = end.finishedOn;
    job.returnvalue = result;
    job.attemptsMade++;
    this.emit("completed", job, result);
    return true;
  }

  /** Returns whether the job's end was stored by a turn. */
  async #fail(job: ClaimedJob, token: string, error: Error): Promise<boolean> {
    if (MOVED.has(error.name)) return false;
    if (job.attemptsMade + 1 < (job.opts.attempts ?? 0) && error.name !== "UnrecoverableError")
      return await this.#retry(job, token, error);
    const stacktrace = job.stacktraceWith(error.stack);
    const keep = keepOf(job.opts.removeOnFail);
    const delivery = this.#options.deliveryOf?.(job, { outcome: "failed", error });
    const end = endOf(job, { token, outcome: "failed", text: error.message, stacktrace, keep, delivery });
    try {
      job.isDelivered = await this.#loop.store(end);
    } catch (refusal) {
      if (!(await this.#storeAgain(end, job, error, refusal))) return false;
    }
    job.finishedOn = end.finishedOn;
    job.attemptsMade++;
    this.emit("failed", job, error);
    return true;
  }

  /** Stores an end that was refused once; see {@link EndStore.untilStored}. */
  #storeAgain(end: RunEnd, job: ClaimedJob, error: Error | undefined, refusal: unknown): Promise<boolean> {
    const store = async (): Promise<void> => {
      job.isDelivered = await this.#loop.store(end);
    };
    return this.#ends.untilStored(job, error, this, store, refusal);
  }

  /** Stores a failed attempt by BullMQ's own command, which knows the rules of its back-off. */
  async #retry(job: ClaimedJob, token: string, error: Error): Promise<false> {
    const wasStored = await this.#ends.untilStored(job, error, this, async () => {
      const bullJob = job.bullJob(); // Each call adds the error to its stacktraces.
      if (error instanceof StoredFailure && error.retryAfter !== undefined)
        bullJob.opts = { ...bullJob.opts, backoff: { type: "fixed", delay: error.retryAfter } };
      await bullJob.moveToFailed(error, token, false);
      if (bullJob.finishedOn !== undefined) job.finishedOn = bullJob.finishedOn;
    });
    if (!wasStored) return false;
    job.attemptsMade++;
    this.emit("failed", job, error);
    return false;
  }

  async pause(doNotWaitActive: boolean): Promise<void> {
    this.#isOpen = false;
    this.#loop.shut();
    this.#stalledCheck?.stop();
    await this.#wait.end();
    if (!doNotWaitActive) await this.#loop.idle();
  }

  async close(force = false): Promise<void> {
    this.#closing ??= this.#close(force);
    await this.#closing;
  }

  async #close(force: boolean): Promise<void> {
    setTimeout(() => this.#ends.giveUp(), force ? 0 : CLOSING_STORE_MS).unref();
    await this.pause(force);
    this.#locks.close();
    await this.#source.close();
  }
}

function endOf(
  { id, opts }: ClaimedJob,
  end: Pick<RunEnd, "token" | "outcome" | "text" | "keep" | "delivery"> & { readonly stacktrace?: string },
): RunEnd {
  const { token, outcome, text, stacktrace, keep, delivery } = end;
  return { id, token, outcome, text, stacktrace, finishedOn: Date.now(), keep, opts, delivery };
}

/** Returns BullMQ's retention of a finished job: true removes it, and a number keeps that many. */
function keepOf(retention: boolean | number | KeepJobs | undefined): KeepJobs | true {
  if (typeof retention === "object" || retention === true) return retention;
  return { count: typeof retention === "number" ? retention : -1 };
}
