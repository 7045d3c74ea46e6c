import { hostname } from "node:os";
import { inspect } from "node:util";
import { getEventLoop } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { RemoteTask, TaskWorker } from "@taskloom/queue";
import type { Engine, JobEvent, JobStart, WorkerStats } from "@taskloom/queue";
import type { Logger } from "pino";
import { Registry, collectDefaultMetrics } from "prom-client";
import { version } from "../version.ts";
import { Admission } from "./admission.ts";
import { JobMetrics } from "./job-metrics.ts";
import { JobSpans } from "./job-spans.ts";
import { pidSpace } from "./pid-space.ts";
import { Presence } from "./presence.ts";
import type { MetricsSnapshot } from "./service-metrics.ts";
import { TaskWatch } from "./task-tree.ts";
import { knownTasks } from "./worker-view.ts";
import type { RunningJob, WorkerView } from "./worker-view.ts";

/** How often a worker looks at itself and tells of it, in milliseconds. */
const lookInterval = 1_000;
/** How much of a job's arguments the log shows, at the level debug; characters. */
const argumentsShown = 1_000;
/** How often the log repeats an error of the engine that goes on; milliseconds. */
const complaintInterval = 10_000;
/** How often it removes what dead workers left. */
const sweepInterval = 30_000;

/** What a watched worker is made with. */
export interface WatchedWorkerOptions {
  readonly engine: Engine;
  readonly queues: readonly string[];
  readonly modules: readonly object[];
  readonly threads: number;
  readonly concurrency: number;
  /** Milliseconds. */
  readonly drain: number;
  /** Milliseconds of loop delay, and a share of busy time, above which the loop lane takes less. */
  readonly maxLoopDelay: number;
  readonly maxUtilization: number;
  /** Which of the service's workers it is, from 0. */
  readonly slot: number;
  /** The process id of the service, where the worker is a process that the service started. Default: this process. */
  readonly service?: number;
  readonly logger: Logger;
  /** Notified of everything that the engine refused; the worker tries it again. */
  readonly onEngineError?: ((error: Error) => void) | undefined;
}

/** A TaskWorker that is looked after: its log, its metrics, its admission, and what it tells others of itself. */
export class WatchedWorker {
  readonly registry: Registry = new Registry();
  readonly #options: WatchedWorkerOptions;
  readonly #worker: TaskWorker;
  readonly #metrics: JobMetrics;
  readonly #spans = new JobSpans();
  readonly #admission: Admission;
  readonly #presence: Presence;
  readonly #jobs = new Map<string, RunningJob>();
  readonly #watch: TaskWatch;
  readonly #startedAt: number;
  readonly #id: string;
  readonly #slot: string;
  #running: Task<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #loop: WorkerView["loop"] = { delayP50: 0, delayP99: 0, delayMax: 0, utilization: 0 };
  #view: WorkerView | undefined;
  #telling = false;
  #sweptAt = 0;
  #state: WorkerView["state"] = "running";
  #complaint: { readonly message: string; readonly at: number } | undefined;

  constructor(options: WatchedWorkerOptions) {
    this.#options = options;
    this.#slot = `${hostname()}:${options.service ?? process.pid}/${options.slot}`;
    this.#id = `worker-${hostname()}-${process.pid}`.replaceAll(":", "-");
    // Without the service's process id: a label that changed with each restart would be a new series each time.
    this.registry.setDefaultLabels({ worker: `${hostname()}/${options.slot}` });
    collectDefaultMetrics({ register: this.registry });
    this.#metrics = new JobMetrics(this.registry);
    this.#admission = new Admission({
      concurrency: options.concurrency,
      maxDelay: options.maxLoopDelay,
      maxUtilization: options.maxUtilization,
    });
    this.#presence = new Presence(options.engine);
    this.#watch = new TaskWatch((task) => task === this.#running || task instanceof RemoteTask);
    this.#startedAt = Date.now();
    this.#worker = new TaskWorker({
      engine: options.engine,
      queues: options.queues,
      tasks: options.modules,
      threads: options.threads,
      concurrency: options.concurrency,
      drain: options.drain,
      onStart: (start) => this.#started(start),
      onJob: (event) => this.#ended(event),
      onStall: (stall) => {
        this.#metrics.stalled();
        options.logger.warn({ event: "stall", ...stall }, "the event loop stood still; a task holds it");
      },
      onEngineError: (error) => {
        this.#complain(error);
        options.onEngineError?.(error);
      },
      onUnknown: ({ id, name, version: wanted }) => {
        this.#jobs.delete(id);
        this.#metrics.unknown(name);
        options.logger.warn(
          { event: "unknown", id, task: name, version: wanted },
          `job ${id} wants task ${name} version ${wanted}, which none of the modules has; it waits`,
        );
      },
    });
  }

  get id(): string {
    return this.#id;
  }

  /** Starts; ends when it takes jobs. */
  async start(): Promise<void> {
    getEventLoop().metrics(); // From now on the loop's delay is measured.
    this.#running = this.#worker.run();
    await this.#worker.ready();
    this.#look();
    this.#timer = setInterval(() => this.#look(), lookInterval).unref();
  }

  /** Ends when the worker ends by itself; fails with the reason. */
  async broken(): Promise<never> {
    await this.#running;
    throw new Error("the worker ended by itself");
  }

  stats(): WorkerStats {
    return this.#worker.stats();
  }

  /** What it has measured, for Prometheus. */
  async metrics(): Promise<MetricsSnapshot> {
    return await this.registry.getMetricsAsJSON();
  }

  /** Takes no more jobs, lets what runs end within the drain, gives back the rest. */
  async stop(): Promise<void> {
    this.#state = "draining";
    this.#look();
    this.#running?.cancel("told to stop");
    await Promise.allSettled([this.#running]);
    clearInterval(this.#timer);
    await Promise.race([
      this.#presence.forget(this.#id).then(() => this.#presence.close()),
      new Promise((resolve) => setTimeout(resolve, 1_000)),
    ]).catch(() => {});
  }

  #started(start: JobStart): void {
    const { id, name, queue, lane, attempt, args, calls } = start;
    const pack = calls === undefined ? {} : { calls };
    this.#jobs.set(id, { id, task: name, queue, lane, attempt, ...pack, startedAt: Date.now() });
    this.#metrics.started(start);
    this.#spans.started(start);
    const { logger } = this.#options;
    if (!logger.isLevelEnabled("debug")) return;
    const text = JSON.stringify(args);
    const shown = text.length <= argumentsShown ? text : `${text.slice(0, argumentsShown)}…`;
    logger.debug(
      { event: "started", id, task: name, queue, lane, attempt, ...pack, args: shown },
      `job ${id} of task ${name} started`,
    );
  }

  #ended(event: JobEvent): void {
    const { id, name, queue, lane, state, attempt, duration, calls, error } = event;
    this.#jobs.delete(id);
    this.#metrics.ended(event);
    this.#spans.ended(event);
    const pack = calls === undefined ? {} : { calls };
    const line = { event: state, id, task: name, queue, lane, attempt, duration, ...pack };
    const text = `job ${id} of task ${name} ${state === "retrying" ? "failed and is tried again" : state}`;
    if (error === undefined) this.#options.logger.info(line, text);
    // pino's serializer of `err` writes the class, the message, the stack and the causes.
    else
      this.#options.logger.warn(
        { ...line, err: asError(error) },
        `${text} after attempt ${attempt}: ${asError(error).message}`,
      );
  }

  /** What the engine refuses is tried again, often many times a second. */
  #complain({ message }: Error): void {
    const now = Date.now();
    if (this.#complaint?.message === message && now - this.#complaint.at < complaintInterval) return;
    this.#complaint = { message, at: now };
    this.#options.logger.error(
      { event: "engine", error: message },
      "the engine refused; this is tried again",
    );
  }

  /** Looks at the loop, lets admission decide, and tells what was seen. */
  #look(): void {
    const { delay, utilization } = getEventLoop().metrics();
    this.#loop = { delayP50: delay.p50, delayP99: delay.p99, delayMax: delay.max, utilization };
    if (this.#admission.read({ delay: delay.p99, utilization })) {
      this.#worker.setConcurrency("loop", this.#admission.limit);
      this.#options.logger.warn(
        { event: "admission", limit: this.#admission.limit, delay: Math.round(delay.p99), utilization },
        `the loop lane now runs up to ${this.#admission.limit} jobs at once`,
      );
    }
    this.#view = this.#makeView();
    this.#setGauges(this.#view);
    void this.#tell(this.#view);
  }

  #makeView(): WorkerView {
    const { queues, modules, engine } = this.#options;
    const { running, finished, threads } = this.#worker.stats();
    const tree = this.#watch.look();
    this.#dropEnded(tree.roots.map(({ name }) => name));
    const { rss, heapUsed } = process.memoryUsage();
    return {
      id: this.#id,
      slot: this.#slot,
      host: hostname(),
      pid: process.pid,
      pidSpace,
      node: process.version,
      version,
      startedAt: this.#startedAt,
      seenAt: engine.now(),
      state: this.#state,
      queues,
      tasks: knownTasks(modules),
      lanes: {
        loop: { running: running.loop, finished: finished.loop, limit: this.#admission.limit },
        thread: { running: running.thread, finished: finished.thread, limit: threads },
      },
      loop: this.#loop,
      admission: { isThrottled: this.#admission.isThrottled, reductions: this.#admission.reductions },
      memory: { rss, heap: heapUsed },
      jobs: [...this.#jobs.values()],
      tree,
    };
  }

  /** A job whose lock was lost, or that was given back, ends without an event. */
  #dropEnded(rootNames: readonly string[]): void {
    const { running } = this.#worker.stats();
    if (running.loop + running.thread >= this.#jobs.size) return;
    const live = new Set(rootNames);
    for (const { id, startedAt } of this.#jobs.values()) {
      if (!live.has(id) && Date.now() - startedAt > 2 * lookInterval) this.#jobs.delete(id);
    }
  }

  #setGauges({ lanes, loop, admission }: WorkerView): void {
    for (const lane of ["loop", "thread"] as const) {
      this.#metrics.running.set({ lane }, lanes[lane].running);
      this.#metrics.limit.set({ lane }, lanes[lane].limit);
    }
    this.#metrics.loopDelay.set({ quantile: "0.5" }, loop.delayP50 / 1_000);
    this.#metrics.loopDelay.set({ quantile: "0.99" }, loop.delayP99 / 1_000);
    this.#metrics.loopDelay.set({ quantile: "1" }, loop.delayMax / 1_000);
    this.#metrics.loopUtilization.set(loop.utilization);
    this.#metrics.threads.set(lanes.thread.limit);
    this.#metrics.throttled.set(admission.isThrottled ? 1 : 0);
    this.#metrics.reductions.set(admission.reductions);
  }

  /** Never two at a time: an engine that is slow gets fewer, and not a growing line of them. */
  async #tell(view: WorkerView): Promise<void> {
    if (this.#telling) return;
    this.#telling = true;
    try {
      await this.#presence.tell(view);
      if (Date.now() - this.#sweptAt > sweepInterval) {
        this.#sweptAt = Date.now();
        await this.#presence.sweep();
      }
    } catch {
      // The engine is away; the next look tells again.
    } finally {
      this.#telling = false;
    }
  }
}

/** A task may throw anything; the log wants an error. */
function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`the task threw ${inspect(thrown)}`);
}
