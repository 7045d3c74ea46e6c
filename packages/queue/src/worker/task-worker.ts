import { randomUUID } from "node:crypto";
import { availableParallelism, hostname } from "node:os";
import { Future, createTask, getEventLoop, sleep } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { Life, LifeState } from "@taskloom/loop/lifecycle";
import { numberProblem } from "@taskloom/loop/number-option";
import type { ThreadPoolExecutor } from "@taskloom/offload";
import { checkOptionNames } from "../check-option-names.ts";
import { isRunnableTask } from "../definition/define-task.ts";
import type { RunnableTask, TaskDefinition } from "../definition/define-task.ts";
import { LockRenewal } from "../locks/lock-renewal.ts";
import type { LoopStall } from "../locks/lock-renewal.ts";
import type { Engine } from "../contract/engine.ts";
import { laneQueueName } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { DEFAULT_ENGINE, openEngine } from "../engines/open-engine.ts";
import { QueueClosedError, TaskOptionsError } from "../errors.ts";
import { settleWithin } from "@taskloom/loop/timer";
import { HistoryRecorder } from "./history-recorder.ts";
import type { QueueFigures } from "./history-recorder.ts";
import type { WorkerListeners } from "./job-events.ts";
import { laneRunnerOf } from "./lane-runner.ts";
import type { LaneRunnerFactory, RunCounts } from "./lane-runner.ts";
import { outsideTasks } from "./outside-tasks.ts";
import { sweepLimits } from "./sweep-limits.ts";
import { removeRegularly } from "./remove-regularly.ts";
import type { ServedLane } from "./served-lane.ts";
import { serveQueue, servedLanes } from "./serve-queue.ts";
import { serveRegularly } from "./serve-regularly.ts";

/**
 * The last part of the drain is for handing back the jobs that still run: a second, or a third of a shorter drain. Tasks
 * have at least a second to stop, so a worker without a drain hands its jobs back, too.
 */
const HAND_BACK_MS = 1_000;
const HAND_BACK_SHARE = 1 / 3;
/** A worker that closes waits at most this long for the engine at each step. */
const CLOSE_PATIENCE_MS = 2_000;

/** The options of a {@link TaskWorker}: its tasks, its queues, and the number of jobs that run at once. */
export interface TaskWorkerOptions extends WorkerListeners {
  /** The URL of an engine. Default `"embedded:.taskloom"`. */
  readonly engine?: string | Engine;
  /** The names of the queues from which the worker takes jobs. Default `["default"]`. */
  readonly queues?: readonly string[];
  /** The tasks that the worker runs: definitions, or modules that export them. */
  readonly tasks: Iterable<TaskDefinition | object>;
  /** The number of jobs that the loop lane of each queue runs at once. Default 100. */
  readonly concurrency?: number;
  /** The number of threads for the thread lanes of all queues. Default: one less than the number of cores, at least 1. */
  readonly threads?: number;
  /**
   * The number of durable runs of each queue that are in memory at once, if one of the tasks is a workflow. Runs that wait
   * leave the memory. Default 1,000.
   */
  readonly runs?: number;
  /**
   * Milliseconds within which {@link TaskWorker.run} ends after it was cancelled. Running jobs continue until the last
   * second of that time, or the last third of less than three seconds. Then the remaining jobs are handed back. Default
   * 30,000.
   */
  readonly drain?: number;
  /**
   * Milliseconds for which a worker keeps its jobs while its event loop is blocked. Afterwards other workers take them.
   * On an embedded folder jobs stay with their process for as long as it lives. Default 60,000.
   */
  readonly stallLimit?: number;
  /** Notified of every time of a second or more in which the event loop was blocked. Default: a process warning. */
  readonly onStall?: (stall: LoopStall) => void;
}

const WORKER_OPTIONS: Readonly<Record<keyof TaskWorkerOptions, true>> = {
  engine: true,
  queues: true,
  tasks: true,
  concurrency: true,
  threads: true,
  runs: true,
  drain: true,
  stallLimit: true,
  onStart: true,
  onJob: true,
  onStep: true,
  onStall: true,
  onUnknown: true,
  onEngineError: true,
  onWarning: true,
};

/** The figures of a worker at one moment. */
export interface WorkerStats {
  /** The number of jobs that run now, in each lane; for `workflow`, the number of runs that are in memory. */
  readonly running: Readonly<Record<Lane, number>>;
  /** The number of jobs that have ended since the start, in each lane. */
  readonly finished: Readonly<Record<Lane, number>>;
  /** The number of threads that the thread lanes may use. */
  readonly threads: number;
  /** The number of durable runs of each queue that may be in memory; 0 if no task of the worker is a workflow. */
  readonly runs: number;
  /** The counts of the worker's durable runs since the start. */
  readonly runCounts: RunCounts;
}

/**
 * Takes jobs from queues and runs them, in lanes: cooperative tasks on the event loop, blocking tasks on threads. A task can
 * bring a third lane, for durable runs.
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
 * running.cancel(); // takes no more jobs, lets running jobs end, and stops
 * await running.catch(() => {});
 * ```
 */
export class TaskWorker implements Life {
  readonly engine: Engine;
  readonly #ownsEngine: boolean;
  readonly #options: TaskWorkerOptions;
  readonly #tasks: ReadonlyMap<string, RunnableTask>;
  readonly #ready = Promise.withResolvers<void>();
  #lanes: ServedLane[] = [];
  /** The ended jobs of lanes that were closed. */
  readonly #finished: Record<Lane, number> = { loop: 0, thread: 0, workflow: 0 };
  readonly #runCounts = { appends: 0, replayed: 0, divergences: 0 };
  /** The number of jobs that each lane runs at once now. */
  readonly #concurrency: Record<Lane, number>;
  readonly #brought: LaneRunnerFactory | undefined;
  #threads: Promise<ThreadPoolExecutor> | undefined;
  #renewal: LockRenewal | undefined;
  readonly #life = new Lifecycle(
    () => new QueueClosedError("The worker has stopped: make a new TaskWorker to take jobs"),
  );
  #running: Task<void> | undefined;
  #stopRemoving: (() => void) | undefined;
  #stopSweeping: (() => void) | undefined;
  #stopServing: (() => Promise<void>) | undefined;
  #history: HistoryRecorder | undefined;

  /**
   * @throws {@link TaskOptionsError} for an invalid option, if two tasks have one name, or if two tasks bring different
   *   runners of a lane; {@link EngineUrlError} for a URL that names no engine.
   */
  constructor(options: TaskWorkerOptions) {
    checkOptionNames(options, WORKER_OPTIONS, "a TaskWorker");
    this.#options = options;
    this.#ready.promise.catch(() => {});
    this.#tasks = tasksByName(options.tasks);
    for (const option of ["concurrency", "threads", "runs"] as const) {
      const value = options[option];
      if (value !== undefined) checkCount(option, value);
    }
    this.#brought = broughtRunner(this.#tasks.values());
    const { concurrency = 100, runs = 1_000 } = options;
    this.#concurrency = { loop: concurrency, thread: this.threads, workflow: runs };
    const { engine = DEFAULT_ENGINE } = options;
    this.#ownsEngine = typeof engine === "string";
    this.engine = typeof engine === "string" ? openEngine(engine) : engine;
  }

  /** The number of threads that the thread lanes may use. */
  get threads(): number {
    return this.#options.threads ?? Math.max(1, availableParallelism() - 1);
  }

  /** `open` before and during the run, `stopping` during the drain, `stopped` afterwards. */
  get state(): LifeState {
    return this.#life.state;
  }

  /** Resolves when the worker takes jobs; rejects if it cannot start. */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /**
   * Runs the worker until the returned task is cancelled. A cancelled worker takes no more jobs, lets running jobs
   * continue until shortly before the end of `drain`, hands back the remaining jobs, and ends as cancelled. The task
   * fails with an {@link EngineUnavailableError} if the worker cannot start, and with the engine's error if an embedded
   * engine has stopped.
   *
   * @throws {@link QueueClosedError} if the worker runs already or has stopped: a worker runs once.
   */
  run(): Task<void> {
    this.#life.assertOpen();
    if (this.#running !== undefined) {
      throw new QueueClosedError("The worker runs already: make a new TaskWorker for a second run");
    }
    const running = createTask(async () => {
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
        await this.#stopOnce();
      }
    });
    this.#running = running;
    // A task that is cancelled before its first step never runs.
    running.addDoneCallback(() => void this.#stopOnce().catch(() => {}));
    return running;
  }

  /**
   * Stops the worker as a cancel of its run does, and resolves when it has stopped. Rejects with the error of the stop if
   * the stop fails.
   */
  async stop(): Promise<void> {
    if (this.#life.isOpen) {
      this.#life.beginStop();
      this.#running?.cancel("the worker stops");
    }
    await Promise.allSettled([this.#running]);
    await this.#stopOnce();
  }

  /** Does the same as {@link TaskWorker.stop}, by the name that queues and engines have. */
  close(): Promise<void> {
    return this.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #stopOnce(): Promise<void> {
    this.#ready.reject(new QueueClosedError("The worker was stopped before it was ready"));
    return this.#life.stop(() => this.#stop());
  }

  async #start(): Promise<void> {
    await this.engine.connect();
    const tasks = [...this.#tasks.values()];
    const needsThreads = tasks.some(({ task }) => task.runsOn === "thread");
    const threads = needsThreads ? await this.#openThreads() : undefined;
    const queues = this.#options.queues ?? ["default"];
    const served = servedLanes(this.#brought);
    const names = queues.flatMap((queue) => served.map((lane) => laneQueueName(queue, lane)));
    const jobsOfQueue = served.reduce((sum, lane) => sum + this.#concurrency[lane], 0);
    // The jobs of a claim take their locks before the jobs that ended in the same turn leave theirs.
    this.#renewal = this.#openRenewal(names, 2 * queues.length * jobsOfQueue);
    const id = randomUUID();
    this.#history = new HistoryRecorder(this.engine, queues, id);
    for (const queue of queues) this.#lanes.push(...this.#serve(queue, threads, this.#history.of(queue)));
    await Promise.all(this.#lanes.map((lane) => lane.ready()));
    this.#stopRemoving = removeRegularly(this.engine, names);
    this.#stopSweeping = sweepLimits(this.engine, names, this.#tasks);
    this.#stopServing = await serveRegularly(this.engine, {
      id,
      queues,
      tasks: Object.fromEntries(tasks.map(({ task }) => [task.name, task.version])),
      process: { host: hostname(), pid: process.pid },
    });
    this.#history.start();
    // Outside this task, since a cancel of this task would reach the jobs that run inside it.
    for (const lane of this.#lanes) outsideTasks(() => void lane.run().catch(() => {}));
  }

  #openRenewal(laneNames: readonly string[], slots: number): LockRenewal | undefined {
    const { renewal, duration } = this.engine.locks;
    if (renewal === undefined) return undefined;
    return new LockRenewal({
      ...renewal,
      duration,
      queues: laneNames,
      slots,
      stallLimit: this.#options.stallLimit ?? 60_000,
      onStall: this.#options.onStall ?? warnOfStall,
    });
  }

  #serve(queue: string, threads: ThreadPoolExecutor | undefined, figures: QueueFigures): ServedLane[] {
    return serveQueue({
      engine: this.engine,
      queue,
      tasks: this.#tasks,
      brought: this.#brought,
      threads,
      openThreads: () => this.#openThreads(),
      renewal: this.#renewal,
      concurrency: (lane) => this.#concurrency[lane],
      listeners: this.#options,
      figures,
    });
  }

  #openThreads(): Promise<ThreadPoolExecutor> {
    this.#threads ??= this.#newThreads();
    return this.#threads;
  }

  async #newThreads(): Promise<ThreadPoolExecutor> {
    // Loaded here, since a process that only submits needs no threads.
    const offload = await import("@taskloom/offload");
    // One thread exists from the start, so the first job, which another worker may have handed over, does not wait.
    return new offload.ThreadPoolExecutor({ maxThreads: this.threads, minThreads: 1 });
  }

  /**
   * Sets the number of jobs that a lane of each queue may run at once from now on, as a service does that sheds load.
   * Running jobs continue. The number may exceed that of the options, but the thread lane never exceeds its threads. For
   * the workflow lane it is the number of runs that are in memory.
   *
   * @throws {@link TaskOptionsError} if the number is not a whole number from 1.
   */
  setConcurrency(lane: Lane, concurrency: number): void {
    checkCount("concurrency", concurrency);
    this.#concurrency[lane] = concurrency;
    for (const served of this.#lanes) if (served.lane === lane) served.setConcurrency(concurrency);
  }

  /** Returns the number of running jobs now, and of ended jobs since the start. */
  stats(): WorkerStats {
    const running = { loop: 0, thread: 0, workflow: 0 };
    const finished = { ...this.#finished };
    const runCounts = { ...this.#runCounts };
    for (const served of this.#lanes) {
      running[served.lane] += served.running;
      finished[served.lane] += served.finished;
      addCounts(runCounts, served.counts);
    }
    const runs = this.#brought === undefined ? 0 : this.#concurrency.workflow;
    return { running, finished, threads: this.threads, runs, runCounts };
  }

  /**
   * Stops within the drain. Running jobs continue until its last part, and are then cancelled and handed back. A task that
   * ignores its cancellation does not delay the worker: its job stays locked, and another worker takes it when the lock
   * has lapsed.
   */
  async #stop(): Promise<void> {
    const served = this.#lanes;
    const drain = this.#options.drain ?? 30_000;
    // The loop's clock is used, since in virtual time a running job only ends when that time passes.
    const loop = getEventLoop();
    const end = loop.time() + drain;
    const stopServing = this.#stopServing?.() ?? Promise.resolve();
    await settleWithin(CLOSE_PATIENCE_MS, Promise.allSettled(served.map((lane) => lane.pause())));
    // Without its engine a worker can neither store an end nor hand a job back. Other workers recover its jobs later.
    await this.#idle(end - Math.min(HAND_BACK_MS, drain * HAND_BACK_SHARE), (lane) => lane.running);
    const handedBack = Promise.allSettled(served.map((lane) => lane.handBackAll()));
    const isDown = this.engine.downFor() > 0;
    await settleWithin(isDown ? CLOSE_PATIENCE_MS : Math.max(HAND_BACK_MS, end - loop.time()), handedBack);
    await this.#idle(loop.time() + CLOSE_PATIENCE_MS, (lane) => lane.ending);
    const force = served.some(({ running }) => running > 0);
    await settleWithin(CLOSE_PATIENCE_MS, Promise.allSettled(served.map((lane) => lane.close(force))));
    for (const { lane, finished, counts } of served) {
      this.#finished[lane] += finished;
      addCounts(this.#runCounts, counts);
    }
    this.#lanes = [];
    this.#stopRemoving?.();
    this.#stopSweeping?.();
    await settleWithin(CLOSE_PATIENCE_MS, Promise.all([stopServing, this.#history?.stop()]));
    await this.#renewal?.close();
    // A thread in a native call cannot be stopped, and does not delay the worker either.
    const threads = this.#threads?.then((pool) =>
      pool.shutdown({ cancelPending: true, cancelRunning: true }),
    );
    if (threads !== undefined) await settleWithin(CLOSE_PATIENCE_MS, threads);
    if (this.#ownsEngine) await this.engine.close();
  }

  /** Resolves when `count` is 0 in every lane, at a time of the loop's clock, or when the engine does not answer. */
  async #idle(end: number, count: (lane: ServedLane) => number): Promise<void> {
    const loop = getEventLoop();
    while (this.#lanes.some((lane) => count(lane) > 0) && loop.time() < end) {
      if (this.engine.downFor() > 0) return;
      await sleep(5);
    }
  }
}

/** Returns the runner of the workflow lane that the tasks bring; undefined if no task runs there. */
function broughtRunner(tasks: Iterable<RunnableTask>): LaneRunnerFactory | undefined {
  let brought: LaneRunnerFactory | undefined;
  for (const definition of tasks) {
    const { name, runsOn } = definition.task;
    const own = laneRunnerOf(definition);
    if (runsOn !== "workflow") continue;
    if (own === undefined)
      throw new TaskOptionsError(
        `Expected task ${name} to bring the runner of its lane, since it runs on "workflow"; define it with the package of its lane`,
      );
    if (brought !== undefined && brought !== own)
      throw new TaskOptionsError(
        `Expected all tasks of the workflow lane to bring one runner, got another one with ${name}; install the package of the lane once`,
      );
    brought = own;
  }
  return brought;
}

function checkCount(option: string, value: number): void {
  const message = numberProblem(option, value, { least: 1, isWhole: true });
  if (message !== undefined) throw new TaskOptionsError(message);
}

function warnOfStall({ duration, jobs }: LoopStall): void {
  const names = [...new Set(jobs.map(({ name }) => name))].join(", ");
  process.emitWarning(
    `The event loop was blocked for ${(duration / 1_000).toFixed(1)} s${names === "" ? "" : ` while it ran ${names}`}; run blocking work on a thread (runsOn: "thread")`,
    { type: "TaskloomWarning", code: "LOOP_STALLED" },
  );
}

/** Returns the tasks among definitions and modules by their names. */
function tasksByName(given: Iterable<TaskDefinition | object>): ReadonlyMap<string, RunnableTask> {
  const tasks = new Map<string, RunnableTask>();
  if (typeof (given as Partial<typeof given> | undefined)?.[Symbol.iterator] !== "function")
    throw new TaskOptionsError(
      `Expected \`tasks\` to be a list of tasks and modules, as in { tasks: [sendMail] }, got ${given === undefined ? "none" : typeof given}`,
    );
  for (const task of [...given].flatMap(tasksIn)) {
    const { name } = task.task;
    if ((tasks.get(name) ?? task) !== task)
      throw new TaskOptionsError(
        `Expected the tasks of a worker to have different names, got two named ${name}; rename one`,
      );
    tasks.set(name, task);
  }
  if (tasks.size === 0)
    throw new TaskOptionsError("Expected `tasks` to hold at least one task made by defineTask, got none");
  return tasks;
}

function tasksIn(entry: TaskDefinition | object): RunnableTask[] {
  if (isRunnableTask(entry)) return [entry];
  if (typeof entry === "object" && entry !== null) return Object.values(entry).filter(isRunnableTask);
  throw new TaskOptionsError(
    `Expected \`tasks\` to hold tasks made by defineTask or modules that export them, got ${typeof entry}`,
  );
}

function addCounts(
  sum: { -readonly [name in keyof RunCounts]: number },
  counts: RunCounts | undefined,
): void {
  if (counts === undefined) return;
  sum.appends += counts.appends;
  sum.replayed += counts.replayed;
  sum.divergences += counts.divergences;
}
