import type { Engine, WorkerStats } from "@taskloom/queue";
import { pino } from "pino";
import { StallMeter, threadsAreBusy } from "../demo/stall-meter.ts";
import type { Stall } from "../demo/stall-meter.ts";
import type { MetricsSnapshot } from "./service-metrics.ts";
import { WatchedWorker } from "./watched-worker.ts";
import { WorkerProcess } from "./worker-process.ts";

/** Workers that a service runs: one in its own process, or several in processes of theirs. */
export interface WorkerPool {
  /** Ends when every worker takes jobs. */
  ready(): Promise<void>;
  stats(): readonly WorkerStats[];
  /** What each worker has measured, for Prometheus. */
  metrics(): Promise<readonly MetricsSnapshot[]>;
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
  /** Notified of everything that the engine refused a worker of this process. */
  readonly onEngineError?: ((error: Error) => void) | undefined;
}

const concurrency = 100;

/** Runs a worker in this process. */
export async function workInProcess(options: WorkerPoolOptions): Promise<WorkerPool> {
  const { engine, queue, module, threads, drain, onEngineError } = options;
  const worker = new WatchedWorker({
    engine,
    queues: [queue],
    modules: [(await import(module.href)) as object],
    threads,
    concurrency,
    drain,
    maxLoopDelay: 1_000,
    maxUtilization: 1,
    slot: 0,
    logger: pino({ level: "silent" }),
    onEngineError,
  });
  const meter = new StallMeter(() => threadsAreBusy(worker.stats()));
  const { promise: broken, reject } = Promise.withResolvers<never>();
  broken.catch(() => {});
  return {
    ready: async () => {
      await worker.start();
      worker.broken().catch(reject);
    },
    stats: () => [worker.stats()],
    metrics: async () => [await worker.metrics()],
    stall: () => meter.stall,
    broken,
    stop: async () => {
      meter.stop();
      await worker.stop();
    },
  };
}

/** Runs workers in processes of their own; one that dies is started again. */
export function workInProcesses(count: number, engineUrl: string, options: WorkerPoolOptions): WorkerPool {
  const { promise: broken, reject } = Promise.withResolvers<never>();
  broken.catch(() => {});
  const settings = {
    engine: engineUrl,
    queues: [options.queue],
    modules: [options.module.href],
    threads: options.threads,
    drain: options.drain / 1_000,
    logLevel: "silent",
  };
  const processes = Array.from(
    { length: count },
    (_, slot) => new WorkerProcess(slot, settings, { died: () => {}, gaveUp: reject }),
  );
  return {
    ready: async () => {
      await Promise.race([Promise.all(processes.map(({ ready }) => ready)), broken]);
    },
    stats: () => processes.flatMap(({ stats }) => (stats === undefined ? [] : [stats])),
    metrics: () => Promise.all(processes.map((each) => each.metrics())),
    stall: () =>
      processes
        .flatMap(({ stall }) => (stall === undefined ? [] : [stall]))
        .reduce<Stall | undefined>(
          (worst, stall) => (worst === undefined || stall.longest > worst.longest ? stall : worst),
          undefined,
        ),
    broken,
    stop: async () => {
      await Promise.all(processes.map((each) => each.stop()));
    },
  };
}
