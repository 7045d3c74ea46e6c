/**
 * The threads' supervisor: Piscina starts them, passes limits and environment on, notices what died, and
 * ends them all. Each thread takes one task of Piscina's, which hands it over to us (see thread/entry.ts);
 * from then on Piscina sees it as idle, and what it runs is our own affair.
 */
import type { Worker } from "node:worker_threads";
import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import type { OptionNames } from "../check-options.ts";
import type { Enlistment } from "../boundary/wire.ts";

/** Options that go to Piscina under Piscina's own names. */
export interface ThreadOptions {
  /** Limits of each thread's heap and stack, in MB. */
  resourceLimits?: NonNullable<ConstructorParameters<typeof Piscina>[0]>["resourceLimits"];
  /** The threads' `process.env`; by default a copy of this one. */
  env?: NodeJS.ProcessEnv;
  /** Arguments added to the threads' `process.argv`. */
  argv?: string[];
  /** Node options for the threads; by default this process's. */
  execArgv?: string[];
  /** What the threads find as `workerData`. */
  workerData?: unknown;
  /** Lowers the threads' priority (needs `@napi-rs/nice`). */
  niceIncrement?: number;
  /** Close files that a thread leaves open. */
  trackUnmanagedFds?: boolean;
}

/**
 * MB. When a thread's heap is full, Node ends the thread and raises the limit by 16 MB until that has happened.
 * On Node 24, V8 makes the young generation of a larger heap so large that one collection moves more than that
 * into the old generation, and a full heap then ends the whole process. Three times 16 MB is V8's own former size.
 */
const YOUNG_GENERATION = 48;

export const THREAD_OPTIONS: OptionNames<ThreadOptions> = {
  resourceLimits: true,
  env: true,
  argv: true,
  execArgv: true,
  workerData: true,
  niceIncrement: true,
  trackUnmanagedFds: true,
};

const entry = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../thread/entry.ts" : "../thread/entry.js", import.meta.url),
);

export class Supervisor {
  readonly #piscina: Piscina;
  readonly #enlisted = new Set<number>();
  /** One for each thread that is starting: what fails it. */
  readonly #starting = new Set<(error: Error) => void>();
  #closed = false;

  constructor(options: ThreadOptions, maxThreads: number) {
    this.#piscina = new Piscina({
      ...options,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION, ...options.resourceLimits },
      filename: entry,
      minThreads: 0,
      maxThreads,
      concurrentTasksPerWorker: 1,
      // Whatever outlives a call (timers, objects, ports) goes on between calls.
      atomics: "disabled",
      idleTimeout: Infinity,
      recordTiming: false,
      loadBalancer: (_task, workers) => {
        const fresh = workers.find((worker) => worker.id > 0 && !this.#enlisted.has(worker.id));
        if (fresh === undefined) return null;
        this.#enlisted.add(fresh.id);
        return fresh;
      },
    });
    // Of a thread that dies while it starts. Later deaths come through the thread's own listeners.
    this.#piscina.on("error", (error: Error) => {
      const [fail] = this.#starting;
      fail?.(error);
    });
  }

  /** Starts a thread and hands it this port. Rejects when it does not come up. */
  async start(enlistment: Enlistment): Promise<Worker> {
    const abort = new AbortController();
    const failed = Promise.withResolvers<never>();
    this.#starting.add(failed.reject);
    try {
      const threadId = await Promise.race([
        this.#piscina.run(enlistment, {
          transferList: [enlistment.port] as never,
          signal: abort.signal,
        }) as Promise<number>,
        failed.promise,
      ]);
      const worker = this.#piscina.threads.find((thread) => thread.threadId === threadId);
      if (worker === undefined) throw new Error(`The thread ${threadId} ended while it started`);
      worker.once("exit", () => this.#enlisted.delete(threadId));
      return worker;
    } catch (error) {
      abort.abort();
      throw error;
    } finally {
      this.#starting.delete(failed.reject);
    }
  }

  /** Ends every thread; resolves when they are gone. */
  async destroy(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#piscina.destroy();
  }
}
