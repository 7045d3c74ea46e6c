import { randomUUID } from "node:crypto";
import { TaskQueue, TaskWorker } from "@taskloom/queue";
import type { TaskDefinition } from "@taskloom/queue";
import type { TestAPI } from "vitest";
import type { EngineTest } from "./engines.ts";

/** A queue of its own for a test, and the workers that are started for it. */
export class Pair {
  readonly queue: TaskQueue;
  readonly engine: string;
  readonly #workers: ReturnType<TaskWorker["run"]>[] = [];

  constructor(engine: string) {
    this.engine = engine;
    this.queue = new TaskQueue({ engine, name: `test-${randomUUID().slice(0, 8)}` });
  }

  /** Starts one more worker on the queue. */
  async work(
    tasks: (TaskDefinition<never> | object)[],
    options: Partial<ConstructorParameters<typeof TaskWorker>[0]> = {},
  ): Promise<TaskQueue> {
    const worker = new TaskWorker({
      engine: this.engine,
      queues: [this.queue.name],
      tasks,
      threads: 1,
      drain: 5_000,
      ...options,
    });
    this.#workers.push(worker.run());
    await worker.ready();
    return this.queue;
  }

  async stopWorkers(): Promise<void> {
    for (const worker of this.#workers) worker.cancel();
    await Promise.allSettled(this.#workers.splice(0));
  }

  async close(): Promise<void> {
    await this.stopWorkers();
    await this.queue.close();
  }
}

/** A test of an engine that has a {@link Pair} of its own. */
export const pairTest = (engineTest: EngineTest): TestAPI<{ engine: string; pair: Pair }> =>
  engineTest.extend<{ pair: Pair }>({
    pair: async ({ engine }, use) => {
      const pair = new Pair(engine);
      await use(pair);
      await pair.close();
    },
  });
