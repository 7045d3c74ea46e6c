import type { MetricsSnapshot } from "./job-metrics.ts";
import { LoopDelayMeter, threadsAreBusy } from "./loop-delay-meter.ts";
import type { LoopDelay } from "./loop-delay-meter.ts";
import { WatchedWorker } from "./watched-worker.ts";
import type { WatchedWorkerOptions } from "./watched-worker.ts";
import { WorkerProcess } from "./worker-process.ts";
import type { ProcessListener, ProcessSettings } from "./worker-process.ts";

/** The workers of a service: one in this process, or several in processes of their own. */
export interface WorkerSet {
  /** Resolves when every worker takes jobs. Rejects if one is stopped before. */
  readonly ready: Promise<void>;
  /** Rejects if the workers cannot go on. */
  readonly broken: Promise<never>;
  /** Returns the metrics of each worker, for Prometheus. */
  metrics(): Promise<readonly MetricsSnapshot[]>;
  /** Returns the delay of a worker's loop while all its threads were busy; of several workers, the worst. */
  loopDelay(): LoopDelay | undefined;
  /** Drains and stops the workers. */
  stop(): Promise<void>;
  /** Ends worker processes at once. A worker of this process ends with the process. */
  kill(): void;
}

/**
 * Runs a worker in this process.
 *
 * @param measuresDelay whether the delay of its loop is measured, which takes a timer every 2 ms.
 */
export function workHere(options: WatchedWorkerOptions, measuresDelay = false): WorkerSet {
  const worker = new WatchedWorker(options);
  const meter = measuresDelay ? new LoopDelayMeter(() => threadsAreBusy(worker.stats())) : undefined;
  const { promise: broken, reject } = Promise.withResolvers<never>();
  broken.catch(() => {});
  const ready = worker.start();
  ready.then(
    () => worker.broken().catch(reject),
    () => {},
  );
  return {
    ready,
    broken,
    metrics: async () => [await worker.metrics()],
    loopDelay: () => meter?.delay,
    stop: async () => {
      meter?.stop();
      await worker.stop();
    },
    kill: () => {},
  };
}

/** Runs so many workers in processes of their own. A process that dies is replaced. */
export function workInProcesses(
  count: number,
  settings: ProcessSettings,
  died: ProcessListener["died"] = () => {},
): WorkerSet {
  const { promise: broken, reject } = Promise.withResolvers<never>();
  broken.catch(() => {});
  const processes = Array.from(
    { length: count },
    (_, slot) => new WorkerProcess(slot, settings, { died, gaveUp: reject }),
  );
  const ready = Promise.all(processes.map((each) => each.ready)).then(() => {});
  ready.catch(() => {});
  return {
    ready,
    broken,
    metrics: () => Promise.all(processes.map((each) => each.metrics())),
    loopDelay: () => worstOf(processes.flatMap(({ loopDelay }) => loopDelay ?? [])),
    stop: async () => {
      await Promise.all(processes.map((each) => each.stop()));
    },
    kill: () => {
      for (const each of processes) each.kill();
    },
  };
}

function worstOf(delays: readonly LoopDelay[]): LoopDelay | undefined {
  return delays.toSorted((a, b) => b.longest - a.longest)[0];
}
