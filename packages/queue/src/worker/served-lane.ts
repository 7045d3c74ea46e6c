import { asError } from "../as-error.ts";
import type { Engine } from "../contract/engine.ts";
import type { EngineWorker, ProcessedEnd } from "../contract/engine-worker.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { laneQueueName } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { LockHolder } from "../contract/lock-holder.ts";
import { endOf } from "../contract/retention.ts";
import { deliverEnd, endDelivery } from "../operate/deliver-end.ts";
import { encodeError } from "../wire/encode.ts";
import { StoredFailure, outcomeOfResult } from "../wire/outcome.ts";
import type { Outcome } from "../wire/outcome.ts";
import type { QueueFigures } from "./history-recorder.ts";
import { durationOf, endOfAttempt, startOf, waitedOf } from "./job-events.ts";
import type { JobEvent, WorkerListeners } from "./job-events.ts";
import type { LaneRunner, RunCounts } from "./lane-runner.ts";
import type { LaneSlots } from "./lane-slots.ts";
import { notifyListener } from "./notify-listener.ts";
import { OutcomeReplies } from "./outcome-replies.ts";
import { runInSubmissionContext } from "./submission-context.ts";

/** A worker notices within this time that a rate limit was lifted or raised. The time of BullMQ's workers is 30 seconds. */
const RATE_LIMIT_PAUSE_MS = 1_000;

/** The parts of a worker that serve a lane of a queue. */
export interface ServedLaneOptions {
  readonly queue: string;
  readonly lane: Lane;
  /** The places of the lane, if jobs share them with the steps of durable runs. */
  readonly slots: LaneSlots | undefined;
  /** The renewal of locks from a thread; undefined if none lapse. */
  readonly renewal: LockHolder | undefined;
  /** The number of jobs that run at once. */
  readonly concurrency: number;
  readonly listeners: WorkerListeners;
  /** The figures of the queue's history. */
  readonly figures: QueueFigures;
  /** Opens the runner of the jobs. */
  readonly open: (replies: OutcomeReplies, onStart: (job: BullJob) => void) => LaneRunner;
}

/** One lane of one queue while a worker serves it: takes its jobs, runs them, and reports their ends. */
export class ServedLane {
  readonly lane: Lane;
  readonly #engine: Engine;
  readonly #queue: string;
  readonly #laneName: string;
  readonly #listeners: WorkerListeners;
  readonly #figures: QueueFigures;
  readonly #replies: OutcomeReplies;
  readonly #runner: LaneRunner;
  readonly #slots: LaneSlots | undefined;
  readonly #worker: EngineWorker;
  readonly #stopListening: () => void;
  /** The ends that are on their way to the durable runs that wait for them, behind the turns that stored them. */
  readonly #deliveries = new Set<Promise<void>>();
  #isClosed = false;
  #finished = 0;

  constructor(engine: Engine, options: ServedLaneOptions) {
    const { queue, lane, slots, renewal, concurrency, listeners } = options;
    const { locks } = engine;
    this.lane = lane;
    this.#engine = engine;
    this.#queue = queue;
    this.#laneName = laneQueueName(queue, lane);
    this.#listeners = listeners;
    this.#figures = options.figures;
    this.#replies = new OutcomeReplies(engine, this.#laneName, lane);
    const runner = options.open(this.#replies, (job) => this.#onStart(job));
    this.#runner = runner;
    this.#slots = slots;
    this.#worker = engine.openWorker(this.#laneName, (...args) => runner.process(...args), {
      autorun: false,
      concurrency,
      lockDuration: locks.duration,
      stalledInterval: locks.stalledInterval,
      restingInterval: locks.restingInterval,
      ...(renewal === undefined ? {} : { renewal }),
      maximumRateLimitDelay: RATE_LIMIT_PAUSE_MS,
      // BullMQ's own limit on the deaths of a job's workers is out of reach: JobRunner applies the limit of the job.
      maxStalledCount: 1_000_000,
      deliveryOf: (job, end) =>
        job.data.run === undefined ? undefined : endDelivery(job.data, outcomeOfEnd(end)),
    });
    slots?.onRoom((jobs) => (this.#worker.concurrency = jobs));
    this.#listen();
    this.#stopListening = engine.onCancelRequest(this.#worker.id, (request) => runner.cancel(request));
  }

  #listen(): void {
    const worker = this.#worker;
    worker.on("active", (job) => this.#onActive(job));
    worker.on("completed", (job, result) => this.#onEnd(job, outcomeOfResult(result), undefined));
    worker.on("failed", (job, error) => {
      if (job === undefined) return;
      if (job.finishedOn == null) this.#notifyJob(job, "retrying", causeOf(error));
      else this.#onEnd(job, outcomeOfEnd({ outcome: "failed", error }), causeOf(error));
    });
    worker.on("error", (error) => notifyListener("onEngineError", this.#listeners.onEngineError, error));
    worker.on("lockRenewalFailed", (ids) => {
      for (const id of ids) this.#runner.abandon(id);
    });
  }

  #onActive(job: BullJob): void {
    if (this.#runner.isLimited?.(job) !== true) this.#onStart(job);
  }

  #onStart(job: BullJob): void {
    // A limited job was started before if it was parked, and has made no attempt then.
    const isFirst =
      job.attemptsStarted <= 1 || (job.attemptsMade === 0 && this.#runner.isLimited?.(job) === true);
    if (isFirst) this.#figures.started(waitedOf(job, this.lane));
    const { onStart } = this.#listeners;
    if (onStart === undefined) return;
    const start = startOf(job, this.#queue, this.lane);
    // The listener runs in the context of the submission, so that a span that it begins is a child of the submitter's.
    runInSubmissionContext(job.data, () => notifyListener("onStart", onStart, start));
  }

  #onEnd(job: BullJob, outcome: Outcome, error: unknown): void {
    this.#finished++;
    this.#replies.onEnd(job, outcome);
    this.#engine.recordEnd(this.#laneName, endOf(job, outcome.state));
    if (job.data.run !== undefined && job.isDelivered !== true) this.#deliver(job, outcome);
    this.#notifyJob(job, outcome.state, error);
  }

  #deliver(job: BullJob, outcome: Outcome): void {
    const delivery = deliverEnd(this.#engine, job.data, outcome, () => !this.#isClosed)
      .catch((error: unknown) => {
        notifyListener("onEngineError", this.#listeners.onEngineError, asError(error));
      })
      .finally(() => this.#deliveries.delete(delivery));
    this.#deliveries.add(delivery);
  }

  #notifyJob(job: BullJob, state: JobEvent["state"], error: unknown): void {
    this.#figures.ended(state, durationOf(job));
    const { onJob } = this.#listeners;
    if (onJob === undefined) return;
    notifyListener("onJob", onJob, endOfAttempt(job, this.#queue, this.lane, state, error));
  }

  /** The number of jobs that run now. */
  get running(): number {
    return this.#runner.running;
  }

  /** The number of runs that have stopped, and whose end or hand-back is being stored. */
  get ending(): number {
    return this.#runner.ending;
  }

  /** The number of jobs that have ended here. */
  get finished(): number {
    return this.#finished;
  }

  /** The counts of its durable runs; undefined for another lane. */
  get counts(): RunCounts | undefined {
    return this.#runner.counts;
  }

  /** Changes the number of jobs that run at once. Running jobs continue. */
  setConcurrency(concurrency: number): void {
    if (this.#slots === undefined) this.#worker.concurrency = concurrency;
    else this.#slots.resize(concurrency);
  }

  /** Resolves when the lane can take jobs. */
  async ready(): Promise<void> {
    await this.#worker.waitUntilReady();
    await this.#runner.start?.();
  }

  /** Takes jobs until {@link pause} or {@link close}. */
  async run(): Promise<void> {
    await this.#worker.run();
  }

  /** Takes no more jobs. Running jobs continue. */
  async pause(): Promise<void> {
    const paused = this.#worker.pause(true);
    this.#runner.drain?.();
    await paused;
  }

  /** Hands every running job back. Resolves when all runs have stopped. */
  async handBackAll(): Promise<void> {
    await this.#runner.handBackAll();
  }

  /** Closes the lane; with `force`, without waiting for running jobs. */
  async close(force: boolean): Promise<void> {
    this.#stopListening();
    try {
      await this.#worker.close(force);
      // The engine may not answer. The runs then find the ends by themselves.
      if (!force) await Promise.all(this.#deliveries);
    } finally {
      this.#isClosed = true;
      await this.#runner.close?.();
    }
  }
}

function outcomeOfEnd(end: ProcessedEnd): Outcome {
  if (end.outcome === "completed") return outcomeOfResult(end.result);
  const { error } = end;
  return { state: "failed", error: error instanceof StoredFailure ? error.encoded : encodeError(error) };
}

/** Returns the error that a task has thrown. */
function causeOf(error: Error): unknown {
  return error instanceof StoredFailure ? error.cause : error;
}
