import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { availableParallelism } from "node:os";
import { Future, createTask, getEventLoop, sleep } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import type { ThreadPoolExecutor } from "@taskloom/offload";
import { runInContext } from "@taskloom/offload/context";
import type { Propagated } from "@taskloom/offload/context";
import { decodeValue } from "../wire/decode.ts";
import { isTaskDefinition } from "../definition/define-task.ts";
import type { TaskDefinition } from "../definition/define-task.ts";
import type { Engine } from "../contract/engine.ts";
import type { EngineWorker } from "../contract/engine-worker.ts";
import type { BullJob } from "../contract/lane-queue.ts";
import { DEFAULT_ENGINE, openEngine } from "../engines/open-engine.ts";
import { TaskOptionsError } from "../errors.ts";
import { settleWithin } from "../settle-within.ts";
import { laneQueueName, lanes } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { endOf } from "../contract/retention.ts";
import { StoredFailure, outcomeOfResult } from "../wire/outcome.ts";
import type { Outcome } from "../wire/outcome.ts";
import { encodeError } from "../wire/encode.ts";
import { forgetRegularly } from "./forget-regularly.ts";
import { JobRunner } from "./job-runner.ts";
import type { ReportUnknown } from "./job-runner.ts";
import { OutcomeReplies } from "./outcome-replies.ts";
import { notifyListener } from "./notify-listener.ts";
import { LockRenewal } from "../bullmq/lock-renewal.ts";
import type { LoopStall } from "../bullmq/lock-renewal.ts";
import { serveRegularly } from "./serve-regularly.ts";

/** Calls a function as if nothing of this process's tasks had called it. */
const outsideTasks = AsyncLocalStorage.snapshot();

/**
 * The last part of the drain, in milliseconds, is for handing back the jobs that still run: of a short drain a third.
 * Tasks have at least as long to stop, so that a worker without a drain hands back too.
 */
const handBackTime = 1_000;
const handBackShare = 1 / 3;
/** How long closing waits for the engine, in milliseconds. */
const closePatience = 2_000;

/** How soon a worker notices that a rate limit was lifted or raised, in milliseconds; BullMQ's own pause is 30 s. */
const rateLimitPause = 1_000;

/** What a worker runs and how much of it at once. */
export interface TaskWorkerOptions {
  /** An engine's URL. Default `"embedded:.taskloom"`. */
  readonly engine?: string | Engine;
  /** The names of the queues to take jobs from. Default `["default"]`. */
  readonly queues?: readonly string[];
  /** The tasks that it knows: definitions, or modules that export them. */
  readonly tasks: Iterable<TaskDefinition | object>;
  /** How many jobs the loop lane of each queue runs at once. Default 100. */
  readonly concurrency?: number;
  /** How many threads run the thread lanes, all queues together. Default: one less than there are cores, at least 1. */
  readonly threads?: number;
  /**
   * How long the end of {@link TaskWorker.run} may take once it is cancelled, in milliseconds: running jobs go on until
   * the last second of it (of less than three seconds, until the last third), which is for handing back those that are
   * left. Default 30,000.
   */
  readonly drain?: number;
  /** Told of every job that starts to run here, for logs and figures. */
  readonly onStart?: (start: JobStart) => void;
  /**
   * Told of every job that ended here, for logs and figures. The engine has stored the end by then; after a cut
   * connection its acknowledgment can come late, so that the next attempt's end is told first: see `attempt`.
   */
  readonly onJob?: (event: JobEvent) => void;
  /** Told of every job that none of the tasks fits; the job is put back and waits for a worker that knows it. */
  readonly onUnknown?: ReportUnknown;
  /**
   * For how long an event loop that stands still keeps the jobs that it runs, in milliseconds; then other workers take
   * them. On an embedded folder jobs stay with their process for as long as it lives. Default 60,000.
   */
  readonly stallLimit?: number;
  /** Told of every time of a second and more in which the event loop stood still. Default: a process warning. */
  readonly onStall?: (stall: LoopStall) => void;
  /** Told of everything that the engine refused, such as the end of a job on a full disk; it is tried again. */
  readonly onEngineError?: (error: Error) => void;
}

/** One job's start on this worker. */
export interface JobStart {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly lane: Lane;
  /** 1 at the first try. */
  readonly attempt: number;
  /** Milliseconds that it waited in the queue, from the time it could first run. */
  readonly waited: number;
  /** The arguments as they travelled, in the wire's JSON; of a pack, those of each call. */
  readonly args: readonly unknown[];
  /** How many calls it carries when it is one pack of a queue's `map`. */
  readonly calls?: number;
}

/** How many calls a job carries, when it is a pack. */
function callsOf({ data }: BullJob): { readonly calls?: number } {
  // Somebody else can have written the job, with a pack of nothing.
  return data.pack === true && Array.isArray(data.args) ? { calls: data.args.length } : {};
}

/** One job's end on this worker. A failed attempt that will be tried again is `"retrying"`. */
export interface JobEvent {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  readonly lane: Lane;
  readonly state: "completed" | "failed" | "cancelled" | "retrying";
  /** 1 at the first try. */
  readonly attempt: number;
  /** Milliseconds that this attempt ran. */
  readonly duration: number;
  /** How many calls it carries when it is one pack of a queue's `map`. */
  readonly calls?: number;
  readonly error?: unknown;
}

/** A worker's numbers at one moment. */
export interface WorkerStats {
  readonly running: Readonly<Record<Lane, number>>;
  readonly finished: Readonly<Record<Lane, number>>;
  /** Threads in the pool that run a call now, and how many there can be. */
  readonly threads: number;
}

interface OpenLane {
  readonly lane: Lane;
  readonly worker: EngineWorker;
  readonly runner: JobRunner;
  readonly stopListening: () => void;
}

/**
 * Takes jobs from queues and runs them, in two lanes: cooperative tasks on the event loop, blocking ones on threads.
 *
 * @example
 * ```ts
 * import { TaskWorker, defineTask } from "@taskloom/queue";
 * import { mkdtemp } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const engine = `embedded:${await mkdtemp(`${tmpdir()}/taskloom-`)}`;
 * const add = defineTask({ name: "add" }, async (a: number, b: number) => a + b);
 * const worker = new TaskWorker({ engine, tasks: [add] });
 * const running = worker.run();
 * await worker.ready();
 * running.cancel(); // takes no more jobs, lets what runs end, and stops
 * await running.catch(() => {});
 * ```
 */
export class TaskWorker {
  readonly engine: Engine;
  readonly #ownsEngine: boolean;
  readonly #options: TaskWorkerOptions;
  readonly #tasks = new Map<string, TaskDefinition>();
  readonly #finished: Record<Lane, number> = { loop: 0, thread: 0 };
  readonly #ready = Promise.withResolvers<void>();
  #open: OpenLane[] = [];
  #threads: ThreadPoolExecutor | undefined;
  #renewal: LockRenewal | undefined;
  #stopForgetting: (() => void) | undefined;
  #stopServing: (() => Promise<void>) | undefined;

  /** @throws {@link TaskOptionsError} when an option cannot be right or two tasks have one name. */
  constructor(options: TaskWorkerOptions) {
    this.#options = options;
    this.#ready.promise.catch(() => {});
    for (const task of definitions(options.tasks)) {
      const known = this.#tasks.get(task.task.name);
      if (known !== undefined && known !== task) {
        throw new TaskOptionsError(
          `Two tasks are called ${task.task.name}; a worker could not tell their jobs apart. Rename one.`,
        );
      }
      this.#tasks.set(task.task.name, task);
    }
    if (this.#tasks.size === 0) {
      throw new TaskOptionsError("Expected `tasks` to hold at least one task made by defineTask, got none.");
    }
    for (const [option, value] of Object.entries({
      concurrency: options.concurrency,
      threads: options.threads,
    })) {
      if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1)) {
        throw new TaskOptionsError(
          `Expected \`${option}\` to be a whole number from 1, got ${String(value)}.`,
        );
      }
    }
    const { engine = DEFAULT_ENGINE } = options;
    this.#ownsEngine = typeof engine === "string";
    this.engine = typeof engine === "string" ? openEngine(engine) : engine;
  }

  /** How many threads the thread lanes may use. */
  get threads(): number {
    return this.#options.threads ?? Math.max(1, availableParallelism() - 1);
  }

  /** Ends when the worker takes jobs; fails when it cannot start. */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /**
   * Runs until it is cancelled. A worker that is cancelled takes no more jobs, lets running ones go on until shortly
   * before `drain` ms are over, hands back those that are left, and ends as cancelled. Fails when it cannot start, and when an embedded engine has stopped.
   */
  run(): Task<void> {
    return createTask(async () => {
      const broken = new Future<void>();
      const stopListening = this.engine.onBroken?.((error) => {
        if (!broken.done()) broken.setException(error);
      });
      try {
        await this.#start();
        this.#ready.resolve();
        await broken;
      } catch (error) {
        this.#ready.reject(error);
        throw error;
      } finally {
        stopListening?.();
        await this.#stop();
      }
    });
  }

  async #start(): Promise<void> {
    await this.engine.connect();
    const tasks = [...this.#tasks.values()];
    if (tasks.some(({ task }) => task.runsOn === "thread")) {
      // Loaded here, since a process that only submits has no use for threads.
      const offload = await import("@taskloom/offload");
      // One is there from the start: the first job, such as one that another worker hands over, waits for no start.
      this.#threads = new offload.ThreadPoolExecutor({ maxThreads: this.threads, minThreads: 1 });
    }
    const queues = this.#options.queues ?? ["default"];
    const names = queues.flatMap((queue) => lanes.map((lane) => laneQueueName(queue, lane)));
    const { renewal, duration } = this.engine.locks;
    if (renewal !== undefined) {
      this.#renewal = new LockRenewal({
        ...renewal,
        duration,
        queues: names,
        slots: queues.length * (this.#concurrency("loop") + this.#concurrency("thread")),
        stallLimit: this.#options.stallLimit ?? 60_000,
        onStall: this.#options.onStall ?? warnOfStall,
      });
    }
    for (const queue of queues) for (const lane of lanes) this.#openLane(queue, lane);
    await Promise.all(this.#open.map(({ worker }) => worker.waitUntilReady()));
    this.#stopForgetting = forgetRegularly(this.engine, names);
    this.#stopServing = await serveRegularly(this.engine, {
      id: randomUUID(),
      queues,
      tasks: Object.fromEntries(tasks.map(({ task }) => [task.name, task.version])),
    });
    // Outside this task: inside it, cancelling it would reach every await on a job's task, and the job with it.
    for (const { worker } of this.#open) outsideTasks(() => void worker.run().catch(() => {}));
  }

  #openLane(queue: string, lane: Lane): void {
    const threads = lane === "thread" ? this.#threads : undefined;
    // A lane without tasks is opened too: it is how a job that nobody knows is noticed and reported.
    const name = laneQueueName(queue, lane);
    const replies = new OutcomeReplies(this.engine, name, lane);
    const runner = new JobRunner(this.engine, name, this.#tasks, threads, replies, (job) =>
      notifyListener("onUnknown", this.#options.onUnknown, job),
    );
    const worker = this.engine.openWorker(name, (...args) => runner.process(...args), {
      autorun: false,
      concurrency: this.#concurrency(lane),
      lockDuration: this.engine.locks.duration,
      stalledInterval: this.engine.locks.stalledInterval,
      ...(this.#renewal === undefined ? {} : { renewal: this.#renewal }),
      maximumRateLimitDelay: rateLimitPause,
      // How often a job may outlive its workers is the job's own policy; JobRunner holds it.
      maxStalledCount: 1_000_000,
    });
    worker.on("active", (job) => {
      const { onStart } = this.#options;
      if (onStart === undefined) return;
      const start = {
        id: job.id!,
        name: job.name,
        queue,
        lane,
        attempt: job.attemptsMade + 1,
        waited: Math.max(0, (job.processedOn ?? Date.now()) - job.timestamp - (job.opts.delay ?? 0)),
        args: job.data.args,
        ...callsOf(job),
      };
      const { context } = job.data;
      // Within the submitter's context, so that a span that is begun here knows the span that submitted.
      runInContext(context === undefined ? undefined : (decodeValue(context) as Propagated), () =>
        notifyListener("onStart", onStart, start),
      );
    });
    worker.on("completed", (job, result) => {
      this.#ended(queue, lane, replies, job, outcomeOfResult(result));
    });
    worker.on("failed", (job, error) => {
      if (job === undefined) return;
      const cause = error instanceof StoredFailure ? error.cause : error;
      if (job.finishedOn == null) this.#tell(queue, lane, job, "retrying", cause);
      else this.#ended(queue, lane, replies, job, { state: "failed", error: encodeError(cause) }, cause);
    });
    worker.on("error", (error) => notifyListener("onEngineError", this.#options.onEngineError, error));
    worker.on("lockRenewalFailed", (ids) => {
      for (const id of ids) runner.abandon(id);
    });
    const stopListening = this.engine.onCancelRequest(worker.id, (request) => runner.cancel(request));
    this.#open.push({ lane, worker, runner, stopListening });
  }

  #concurrency(lane: Lane): number {
    return lane === "thread" ? this.threads : (this.#options.concurrency ?? 100);
  }

  #ended(
    queue: string,
    lane: Lane,
    replies: OutcomeReplies,
    job: BullJob,
    outcome: Outcome,
    error?: unknown,
  ): void {
    this.#finished[lane]++;
    replies.ended(job, outcome);
    this.engine.recordEnd(laneQueueName(queue, lane), endOf(job, outcome.state));
    this.#tell(queue, lane, job, outcome.state, error);
  }

  #tell(queue: string, lane: Lane, job: BullJob, state: JobEvent["state"], error: unknown): void {
    notifyListener("onJob", this.#options.onJob, {
      id: job.id!,
      name: job.name,
      queue,
      lane,
      state,
      attempt: job.attemptsMade,
      duration: (job.finishedOn ?? Date.now()) - (job.processedOn ?? Date.now()),
      ...callsOf(job),
      ...(error === undefined ? {} : { error }),
    });
  }

  /**
   * How many jobs a lane of each queue may run at once from now on, as a service does that sheds load. What runs goes
   * on; what the worker was made with is a start, and no bound. The thread lane still has no more than its threads.
   */
  setConcurrency(lane: Lane, concurrency: number): void {
    if (!(Number.isSafeInteger(concurrency) && concurrency >= 1)) {
      throw new TaskOptionsError(
        `Expected \`concurrency\` to be a whole number from 1, got ${String(concurrency)}.`,
      );
    }
    for (const open of this.#open) if (open.lane === lane) open.worker.concurrency = concurrency;
  }

  /** What runs now and what has ended since the start. */
  stats(): WorkerStats {
    const running = { loop: 0, thread: 0 };
    for (const { lane, runner } of this.#open) running[lane] += runner.running;
    return { running, finished: { ...this.#finished }, threads: this.threads };
  }

  /**
   * Stops within the drain: running jobs go on until its last part, and are then cancelled and handed back. A task that
   * ignores its cancellation does not hold the worker up: its job stays locked, and another worker has it when the lock
   * lapses.
   */
  async #stop(): Promise<void> {
    const open = this.#open;
    const drain = this.#options.drain ?? 30_000;
    // By the loop's clock: in virtual time, what runs can only end when that passes.
    const loop = getEventLoop();
    const end = loop.time() + drain;
    const stopServing = this.#stopServing?.() ?? Promise.resolve();
    await settleWithin(closePatience, Promise.allSettled(open.map(({ worker }) => worker.pause(true))));
    // Without an engine no end can be stored and nothing handed back: its stalled check does that when it is back.
    await this.#idle(end - Math.min(handBackTime, drain * handBackShare), ({ running }) => running);
    const stopped = Promise.allSettled(open.map(({ runner }) => runner.handBackAll()));
    const patience = this.engine.downFor() > 0 ? closePatience : Math.max(handBackTime, end - loop.time());
    await settleWithin(patience, stopped);
    await this.#idle(loop.time() + closePatience, ({ ending }) => ending);
    const force = open.some(({ runner }) => runner.running > 0);
    await settleWithin(
      closePatience,
      Promise.allSettled(
        open.map(async ({ worker, stopListening }) => {
          stopListening();
          await worker.close(force);
        }),
      ),
    );
    this.#open = [];
    this.#stopForgetting?.();
    await settleWithin(closePatience, stopServing);
    await this.#renewal?.close();
    // A thread within a native call cannot be stopped; it does not hold up the worker either.
    const threads = this.#threads?.shutdown({ cancelPending: true, cancelRunning: true });
    if (threads !== undefined) await settleWithin(closePatience, threads);
    if (this.#ownsEngine) await this.engine.close();
  }

  /** Resolves when no runner counts anything any more, at a time of the loop's clock, or when the engine is gone. */
  async #idle(end: number, count: (runner: JobRunner) => number): Promise<void> {
    const loop = getEventLoop();
    while (this.#open.some(({ runner }) => count(runner) > 0) && loop.time() < end) {
      if (this.engine.downFor() > 0) return;
      await sleep(5);
    }
  }
}

function warnOfStall({ duration, jobs }: LoopStall): void {
  const names = [...new Set(jobs.map(({ name }) => name))].join(", ");
  process.emitWarning(
    `The event loop stood still for ${(duration / 1_000).toFixed(1)} s${names === "" ? "" : ` while it ran ${names}`}; what blocks belongs on a thread (runsOn: "thread").`,
    { type: "TaskloomWarning", code: "LOOP_STALLED" },
  );
}

/** The tasks among definitions and modules. */
function definitions(tasks: Iterable<TaskDefinition | object>): TaskDefinition[] {
  return [...tasks].flatMap((entry) => {
    if (isTaskDefinition(entry)) return [entry];
    if (typeof entry === "object" && entry !== null) return Object.values(entry).filter(isTaskDefinition);
    throw new TaskOptionsError(
      `Expected \`tasks\` to hold tasks made by defineTask or modules that export them, got ${typeof entry}.`,
    );
  });
}
