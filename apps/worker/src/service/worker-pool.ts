import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Engine, TaskWorker, type WorkerStats } from "@taskloom/queue";
import { CliFailure } from "../cli/failure.ts";
import { type Stall, StallMeter, threadsAreBusy } from "../demo/stall-meter.ts";
import type { WorkerMessage } from "./worker-messages.ts";

/** Workers that a service runs: one in its own process, or several in processes of theirs. */
export interface WorkerPool {
  /** Ends when every worker takes jobs. */
  ready(): Promise<void>;
  stats(): readonly WorkerStats[];
  /** What a worker's loop was kept waiting while all its threads were busy; of several workers, the worst. */
  stall(): Stall | undefined;
  /** Fails when the workers cannot go on. */
  readonly broken: Promise<never>;
  /** Drains and stops. */
  stop(): Promise<void>;
}

/** What every worker of a pool is given. */
export interface WorkerPoolOptions {
  readonly engine: Engine;
  readonly queue: string;
  /** The module whose tasks the workers run. */
  readonly module: URL;
  readonly threads: number;
  /** How long running jobs may go on at the end, in milliseconds. */
  readonly drain: number;
}

/** Runs a worker in this process. */
export async function workInProcess({
  engine,
  queue,
  module,
  threads,
  drain,
}: WorkerPoolOptions): Promise<WorkerPool> {
  const worker = new TaskWorker({
    engine,
    queues: [queue],
    tasks: [(await import(module.href)) as object],
    threads,
    drain,
  });
  const meter = new StallMeter(() => threadsAreBusy(worker.stats()));
  const running = worker.run();
  const broken = (async (): Promise<never> => {
    await running;
    throw new CliFailure("WORKER_ENDED", "the worker ended by itself.");
  })();
  broken.catch(() => {});
  return {
    ready: () => worker.ready(),
    stats: () => [worker.stats()],
    stall: () => meter.stall,
    broken,
    stop: async () => {
      meter.stop();
      running.cancel("the service stops");
      await Promise.allSettled([running]);
    },
  };
}

/** A worker process that dies this often within a run is not started again. */
const restartsAtMost = 5;

/** Runs workers in processes of their own; one that dies is started again. */
export function workInProcesses(count: number, engineUrl: string, options: WorkerPoolOptions): WorkerPool {
  const slots: ProcessSlot[] = [];
  const { promise: broken, reject } = Promise.withResolvers<never>();
  broken.catch(() => {});
  for (let index = 0; index < count; index++) slots.push(new ProcessSlot(engineUrl, options, reject));
  return {
    ready: async () => {
      await Promise.race([Promise.all(slots.map((slot) => slot.ready)), broken]);
    },
    stats: () => slots.flatMap(({ stats }) => (stats === undefined ? [] : [stats])),
    stall: () =>
      slots
        .flatMap(({ stall }) => (stall === undefined ? [] : [stall]))
        .reduce<Stall | undefined>(
          (worst, stall) => (worst === undefined || stall.longest > worst.longest ? stall : worst),
          undefined,
        ),
    broken,
    stop: async () => {
      await Promise.all(slots.map((slot) => slot.stop()));
    },
  };
}

/** One place in the pool, and the process that fills it now. */
class ProcessSlot {
  stats: WorkerStats | undefined;
  stall: Stall | undefined;
  readonly ready: Promise<void>;
  readonly #start: () => ChildProcess;
  #child: ChildProcess;
  #restarts = 0;
  #stopping = false;

  constructor(
    engineUrl: string,
    { queue, module, threads, drain }: WorkerPoolOptions,
    giveUp: (error: Error) => void,
  ) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    const bin = fileURLToPath(
      new URL(import.meta.url.endsWith(".ts") ? "../bin.ts" : "../bin.js", import.meta.url),
    );
    const args = ["worker", module.href, "--engine", engineUrl, "--queue", queue];
    args.push("--threads", String(threads), "--drain", String(drain / 1_000));
    this.#start = () => {
      const child = fork(bin, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
      child.on("message", (message: WorkerMessage) => {
        if (message.type === "ready") return resolve();
        this.stats = message.stats;
        this.stall = message.stall;
      });
      child.on("exit", (code, signal) => {
        if (this.#stopping) return;
        if (this.#restarts++ < restartsAtMost) {
          this.#child = this.#start();
        } else {
          giveUp(
            new CliFailure(
              "WORKERS_DIE",
              `a worker process ended ${this.#restarts} times, at last with ${signal ?? `exit code ${code}`}; the lines above say why.`,
            ),
          );
        }
      });
      return child;
    };
    this.#child = this.#start();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
  }
}
