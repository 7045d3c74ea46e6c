/**
 * The supervisor of the threads. Piscina starts them, passes limits and environment on, notices deaths, and ends all
 * threads. Each thread runs one task of Piscina's, which hands the thread over to the pool (see thread/entry.ts).
 * After that task Piscina sees the thread as idle, and the pool alone decides what it runs.
 */
import type { ResourceLimits, Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import { settleWithin } from "@taskloom/loop/timer";
import { Piscina } from "piscina";
import type { ThreadInit } from "../boundary/wire.ts";
import type { OptionNames } from "../check-options.ts";

/** Options that are passed to Piscina, under Piscina's own names. */
export interface ThreadOptions {
  /** Limits of each thread's heap and stack, in MB. */
  resourceLimits?: ResourceLimits;
  /** The threads' `process.env`; by default a copy of this one. */
  env?: NodeJS.ProcessEnv;
  /** Arguments added to the threads' `process.argv`. */
  argv?: string[];
  /** Node options for the threads; by default this process's. */
  execArgv?: string[];
  /** The value of `workerData` on the threads. */
  workerData?: unknown;
  /** Lowers the threads' priority (needs `@napi-rs/nice`). */
  niceIncrement?: number;
  /** Closes files that a thread leaves open. */
  trackUnmanagedFds?: boolean;
}

/**
 * The size of a thread's young generation. When a thread's heap is full, Node raises the limit by 16 MB and ends the
 * thread within this margin. On Node 24, a large heap has a young generation of which one collection can move
 * more than 16 MB into the old generation; a full heap then ends the whole process. V8's own former size was three
 * times 16 MB.
 */
const YOUNG_GENERATION_MB = 48;

/** The time for which the end of all threads waits for a thread that is starting, in milliseconds. */
const MAX_START_MS = 10_000;

export const THREAD_OPTIONS: OptionNames<ThreadOptions> = {
  resourceLimits: true,
  env: true,
  argv: true,
  execArgv: true,
  workerData: true,
  niceIncrement: true,
  trackUnmanagedFds: true,
};

const ENTRY = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../thread/entry.ts" : "../thread/entry.js", import.meta.url),
);

export class Supervisor {
  readonly #piscina: Piscina;
  /** The ids of the threads that were handed over and have not exited. */
  readonly #handedOver = new Set<number>();
  /** The starts that have not ended, and a function for each that fails it. */
  readonly #starting = new Map<Promise<unknown>, (error: Error) => void>();
  #isClosed = false;

  constructor(options: ThreadOptions, maxThreads: number) {
    this.#piscina = new Piscina({
      ...options,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB, ...options.resourceLimits },
      filename: ENTRY,
      minThreads: 0,
      maxThreads,
      concurrentTasksPerWorker: 1,
      // Timers, objects and ports that outlive a call go on between calls.
      atomics: "disabled",
      idleTimeout: Infinity,
      recordTiming: false,
      loadBalancer: (_task, workers) => {
        const fresh = workers.find((worker) => worker.id > 0 && !this.#handedOver.has(worker.id));
        if (fresh === undefined) return null;
        this.#handedOver.add(fresh.id);
        return fresh;
      },
    });
    // The error of a thread that dies while it starts. Later deaths arrive at the thread's own listeners.
    this.#piscina.on("error", (error: Error) => {
      const [fail] = this.#starting.values();
      fail?.(error);
    });
  }

  /** Starts a thread with these values. Rejects if the thread fails to start. */
  async start(init: ThreadInit): Promise<Worker> {
    const abort = new AbortController();
    const failed = Promise.withResolvers<never>();
    const running = this.#piscina.run(init, {
      transferList: [init.port],
      signal: abort.signal,
    }) as Promise<number>;
    const started = Promise.race([running, failed.promise]);
    this.#starting.set(started, failed.reject);
    try {
      const threadId = await started;
      const worker = this.#piscina.threads.find((thread) => thread.threadId === threadId);
      if (worker === undefined) throw new Error(`The thread ${threadId} ended while it started`);
      worker.once("exit", () => this.#handedOver.delete(threadId));
      return worker;
    } catch (error) {
      abort.abort();
      throw error;
    } finally {
      this.#starting.delete(started);
    }
  }

  /**
   * Ends every thread; resolves when all are gone. A thread that is starting is ended when it has started: Node aborts the
   * process if a thread is terminated while it loads an ES module through `require`, as Piscina does.
   */
  async destroy(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await settleWithin(MAX_START_MS, Promise.allSettled(this.#starting.keys()));
    await this.#piscina.destroy();
  }
}
