import { hostname } from "node:os";
import { inspect } from "node:util";
import { getEventLoop } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { Life, LifeState } from "@taskloom/loop/lifecycle";
import { QueueClosedError, RemoteTask, TaskWorker } from "@taskloom/queue";
import type { Engine, JobEvent, JobStart, WorkerListeners, WorkerStats } from "@taskloom/queue";
import type { Logger } from "pino";
import { version } from "../version.ts";
import { Admission } from "./admission.ts";
import type { JobMeters } from "./job-meters.ts";
import type { JobMetrics, MetricsSnapshot } from "./job-metrics.ts";
import { JobSpans } from "./job-spans.ts";
import { LateMetrics } from "./late-metrics.ts";
import { hasProvider } from "./otel-providers.ts";
import { PID_SPACE } from "./pid-space.ts";
import { Presence } from "./presence.ts";
import { TaskWatch } from "./task-tree.ts";
import { knownTasks } from "./worker-view.ts";
import type { RunningJob, WorkerLane, WorkerView } from "./worker-view.ts";

/** The interval at which a worker samples its loop and stores its record; an idle worker stores every second one. */
const SAMPLE_INTERVAL_MS = 1_000;
/** The characters of a job's arguments that the log shows at the level debug. */
const MAX_SHOWN_ARGUMENTS = 1_000;
/** The log repeats an error of the engine at this interval while the error lasts. */
const REPEAT_INTERVAL_MS = 10_000;
/** The interval at which a worker removes the records of dead workers. */
const SWEEP_INTERVAL_MS = 30_000;

/** The options of a watched worker. */
export interface WatchedWorkerOptions {
  readonly engine: Engine;
  readonly queues: readonly string[];
  readonly modules: readonly object[];
  readonly threads: number;
  readonly concurrency: number;
  /** The number of durable runs of each queue that are in memory at once. */
  readonly runs?: number;
  /** Milliseconds. */
  readonly drain: number;
  /** Milliseconds of loop delay above which the loop lane runs fewer jobs. */
  readonly maxLoopDelay: number;
  /** Share of busy time, 0 to 1, above which the loop lane runs fewer jobs; 1 turns this off. */
  readonly maxUtilization: number;
  /** The number of the worker in its service, from 0. */
  readonly slot: number;
  /** The process id of the service, if the service started this process as a worker. Default: this process. */
  readonly service?: number;
  readonly logger: Logger;
  /** Receives each error of the engine; the worker repeats the refused operation by itself. */
  readonly onEngineError?: ((error: Error) => void) | undefined;
  /** The user's listeners, which are notified after the worker's own. */
  readonly hooks?: Pick<WorkerListeners, "onStart" | "onJob" | "onStep">;
}

/** A TaskWorker with a log, metrics, spans, admission, and a record that shows it to other processes. */
export class WatchedWorker implements Life {
  readonly #options: WatchedWorkerOptions;
  readonly #worker: TaskWorker;
  readonly #metrics: LateMetrics;
  /** Undefined in a process without an OpenTelemetry SDK for metrics. */
  #meters: JobMeters | undefined;
  readonly #spans = new JobSpans();
  readonly #admission: Admission;
  readonly #presence: Presence;
  readonly #jobs = new Map<string, RunningJob>();
  readonly #watch: TaskWatch;
  readonly #startedAt: number;
  readonly #id: string;
  readonly #slot: string;
  /** The label `worker` of its metrics. */
  readonly #label: string;
  #running: Task<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #loop: WorkerView["loop"] = { delayP50: 0, delayP99: 0, delayMax: 0, utilization: 0 };
  #view: WorkerView | undefined;
  #isStoring = false;
  #hasSkipped = false;
  #sweptAt = 0;
  readonly #life = new Lifecycle(() => new QueueClosedError("The worker has stopped: make a new one"));
  #lastError: { readonly message: string; readonly at: number } | undefined;

  constructor(options: WatchedWorkerOptions) {
    this.#options = options;
    this.#slot = `${hostname()}:${options.service ?? process.pid}/${options.slot}`;
    this.#id = `worker-${hostname()}-${process.pid}`.replaceAll(":", "-");
    // The label leaves out the service's process id, which would begin a new series at each restart.
    this.#label = `${hostname()}/${options.slot}`;
    this.#metrics = new LateMetrics(this.#label);
    this.#admission = new Admission({
      concurrency: options.concurrency,
      maxDelay: options.maxLoopDelay,
      maxUtilization: options.maxUtilization,
    });
    this.#presence = new Presence(options.engine);
    this.#watch = new TaskWatch((task) => task === this.#running || task instanceof RemoteTask);
    this.#startedAt = Date.now();
    const { hooks = {} } = options;
    this.#worker = new TaskWorker({
      engine: options.engine,
      queues: options.queues,
      tasks: options.modules,
      threads: options.threads,
      concurrency: options.concurrency,
      ...(options.runs === undefined ? {} : { runs: options.runs }),
      drain: options.drain,
      onStart: (start) => {
        this.#started(start);
        return hooks.onStart?.(start);
      },
      onJob: (event) => {
        this.#ended(event);
        return hooks.onJob?.(event);
      },
      onStep: (event) => {
        this.#spans.step(event);
        return hooks.onStep?.(event);
      },
      onStall: (stall) => {
        this.#metrics.record((metrics) => metrics.stalled());
        this.#meters?.stalled();
        options.logger.warn({ event: "stall", ...stall }, "the event loop was blocked by a task");
      },
      onEngineError: (error) => {
        this.#logEngineError(error);
        options.onEngineError?.(error);
      },
      onUnknown: ({ id, name, version: wanted }) => {
        this.#jobs.delete(id);
        this.#metrics.record((metrics) => metrics.unknown(name));
        this.#meters?.unknown(name);
        options.logger.warn(
          { event: "unknown", id, task: name, version: wanted },
          `job ${id} needs ${wanted === undefined ? "" : `version ${wanted} of `}task ${name}, which no module exports; the job waits`,
        );
      },
    });
  }

  get id(): string {
    return this.#id;
  }

  /** `open` until `stop()`; `stopped` when no job of it runs and its record is removed. */
  get state(): LifeState {
    return this.#life.state;
  }

  /** Starts the worker; resolves when it takes jobs. */
  start(): Promise<void> {
    return this.#life.start(() => this.#start());
  }

  async #start(): Promise<void> {
    getEventLoop().metrics(); // The first call starts the measurement of the loop's delay.
    if (hasProvider("metrics")) this.#meters = await this.#openMeters();
    this.#running = this.#worker.run();
    await this.#worker.ready();
    if (!this.#life.isOpen) return;
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS).unref();
  }

  async #openMeters(): Promise<JobMeters> {
    const { JobMeters } = await import("./job-meters.ts");
    return new JobMeters(this.#label, () => ({
      view: this.#view,
      runCounts: this.#worker.stats().runCounts,
    }));
  }

  /**
   * Never resolves.
   *
   * @throws the reason, when the worker ends by itself.
   */
  async broken(): Promise<never> {
    await this.#running;
    throw new Error("The worker ended by itself; start it again");
  }

  stats(): WorkerStats {
    return this.#worker.stats();
  }

  /** Returns the metrics for Prometheus. */
  async metrics(): Promise<MetricsSnapshot> {
    const metrics = await this.#metrics.load();
    this.#update(metrics);
    return await metrics.snapshot();
  }

  /** Takes no more jobs, waits for running jobs within the drain, and hands back the others. */
  stop(): Promise<void> {
    return this.#life.stop(() => this.#stop());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    this.#sample();
    await this.#worker.stop();
    await this.#life.startEnded();
    clearInterval(this.#timer);
    this.#meters?.stop();
    await Promise.race([
      this.#presence.remove(this.#id).then(() => this.#presence.close()),
      new Promise((resolve) => setTimeout(resolve, 1_000)),
    ]).catch(() => {});
  }

  #started(start: JobStart): void {
    const { id, name, queue, lane, attempt, args, calls, recoveries } = start;
    const pack = calls === undefined ? {} : { calls };
    this.#jobs.set(id, { id, task: name, queue, lane, attempt, ...pack, startedAt: Date.now() });
    this.#metrics.record((metrics) => metrics.started(start));
    this.#meters?.started(start);
    this.#spans.started(start);
    const { logger } = this.#options;
    // A durable run keeps the number, and starts each time that it wakes.
    if (recoveries > 0 && lane !== "workflow")
      logger.warn(
        { event: "recovered", id, task: name, queue, lane, attempt, ...pack, recoveries },
        `job ${id} of task ${name} runs again: ${recoveries === 1 ? "a worker" : `${recoveries} workers`} that ran it died or lost its lock`,
      );
    if (!logger.isLevelEnabled("debug")) return;
    const text = JSON.stringify(args);
    const shown = text.length <= MAX_SHOWN_ARGUMENTS ? text : `${text.slice(0, MAX_SHOWN_ARGUMENTS)}…`;
    logger.debug(
      { event: "started", id, task: name, queue, lane, attempt, ...pack, args: shown },
      `job ${id} of task ${name} started`,
    );
  }

  #ended(event: JobEvent): void {
    const { id, name, queue, lane, state, attempt, duration, calls, error } = event;
    this.#jobs.delete(id);
    this.#metrics.record((metrics) => metrics.ended(event));
    this.#meters?.ended(event);
    this.#spans.ended(event);
    const pack = calls === undefined ? {} : { calls };
    const line = { event: state, id, task: name, queue, lane, attempt, duration, ...pack };
    const text = `job ${id} of task ${name} ${state === "retrying" ? "failed and is retried" : state}`;
    if (error === undefined) this.#options.logger.info(line, text);
    else
      this.#options.logger.warn(
        { ...line, err: asError(error) },
        `${text} after attempt ${attempt}: ${asError(error).message}`,
      );
  }

  /** Logs an error of the engine, but not each time: the worker repeats refused operations many times a second. */
  #logEngineError({ message }: Error): void {
    const now = Date.now();
    if (this.#lastError?.message === message && now - this.#lastError.at < REPEAT_INTERVAL_MS) return;
    this.#lastError = { message, at: now };
    this.#options.logger.error(
      { event: "engine", error: message },
      "the engine refused an operation, which is repeated",
    );
  }

  /** Samples the loop, applies admission, and stores the record. */
  #sample(): void {
    const { delay, utilization } = getEventLoop().metrics();
    this.#loop = { delayP50: delay.p50, delayP99: delay.p99, delayMax: delay.max, utilization };
    if (this.#admission.read({ delay: delay.p99, utilization })) {
      this.#worker.setConcurrency("loop", this.#admission.limit);
      this.#options.logger.warn(
        { event: "admission", limit: this.#admission.limit, delay: Math.round(delay.p99), utilization },
        `the loop lane now runs up to ${this.#admission.limit} jobs at once`,
      );
    }
    if (this.#isQuiet() && !this.#hasSkipped) {
      this.#hasSkipped = true;
      return;
    }
    this.#hasSkipped = false;
    this.#view = this.#makeView();
    if (this.#metrics.loaded !== undefined) this.#update(this.#metrics.loaded);
    void this.#store(this.#view);
  }

  /** Whether nothing runs here and the record says so already: every second sample is then left out. */
  #isQuiet(): boolean {
    return this.#life.isOpen && this.#jobs.size === 0 && this.#view?.jobs.length === 0;
  }

  #makeView(): WorkerView {
    const { queues, modules, engine } = this.#options;
    const { running, finished, threads, runs } = this.#worker.stats();
    const workflow = { running: running.workflow, finished: finished.workflow, limit: runs };
    const tree = this.#watch.snapshot();
    this.#dropEnded(tree.roots.map(({ name }) => name));
    const { rss, heapUsed } = process.memoryUsage();
    return {
      id: this.#id,
      slot: this.#slot,
      host: hostname(),
      pid: process.pid,
      pidSpace: PID_SPACE,
      node: process.version,
      version,
      startedAt: this.#startedAt,
      seenAt: engine.now(),
      state: this.#life.isOpen ? "running" : "draining",
      queues,
      tasks: knownTasks(modules),
      lanes: {
        loop: { running: running.loop, finished: finished.loop, limit: this.#admission.limit },
        thread: { running: running.thread, finished: finished.thread, limit: threads },
        ...(runs === 0 ? {} : { workflow }),
      },
      loop: this.#loop,
      admission: { isThrottled: this.#admission.isThrottled, reductions: this.#admission.reductions },
      memory: { rss, heap: heapUsed },
      jobs: [...this.#jobs.values()],
      tree,
    };
  }

  /** Drops jobs that have ended without an event: those that lost their lock, and those that were handed back. */
  #dropEnded(rootNames: readonly string[]): void {
    const { running } = this.#worker.stats();
    if (running.loop + running.thread + running.workflow >= this.#jobs.size) return;
    const live = new Set(rootNames);
    for (const { id, startedAt } of this.#jobs.values()) {
      if (live.has(id) || Date.now() - startedAt <= 2 * SAMPLE_INTERVAL_MS) continue;
      this.#jobs.delete(id);
      this.#spans.left(id);
    }
  }

  /** Sets the metrics that show the last sample. */
  #update(metrics: JobMetrics): void {
    metrics.runs(this.#worker.stats().runCounts);
    if (this.#view === undefined) return;
    const { lanes, loop, admission } = this.#view;
    for (const [lane, { running, limit }] of Object.entries<WorkerLane>(lanes)) {
      metrics.running.set({ lane }, running);
      metrics.limit.set({ lane }, limit);
    }
    metrics.loopDelay.set({ quantile: "0.5" }, loop.delayP50 / 1_000);
    metrics.loopDelay.set({ quantile: "0.99" }, loop.delayP99 / 1_000);
    metrics.loopDelay.set({ quantile: "1" }, loop.delayMax / 1_000);
    metrics.loopUtilization.set(loop.utilization);
    metrics.threads.set(lanes.thread.limit);
    metrics.throttled.set(admission.isThrottled ? 1 : 0);
    metrics.reductions.set(admission.reductions);
  }

  /** Stores one record at a time, so that records do not pile up in front of a slow engine. */
  async #store(view: WorkerView): Promise<void> {
    if (this.#isStoring) return;
    this.#isStoring = true;
    try {
      await this.#presence.store(view);
      if (Date.now() - this.#sweptAt > SWEEP_INTERVAL_MS) {
        this.#sweptAt = Date.now();
        await this.#presence.sweep();
      }
    } catch {
      // The engine does not answer. The next sample stores a newer record.
    } finally {
      this.#isStoring = false;
    }
  }
}

/** Returns an error for the log: a task can throw any value. */
function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`the task threw ${inspect(thrown)}`);
}
