import { Bell } from "../database/bell.ts";
import type { Database } from "../database/database.ts";
import type { QueueOperations } from "./queue-operations.ts";

/** Waits until a queue has a job to run. */
export class JobWaiter {
  readonly #operations: QueueOperations;
  readonly #bell: Bell;
  #isInterrupted = false;

  constructor(database: Database, operations: QueueOperations) {
    this.#operations = operations;
    this.#bell = new Bell(database, operations.queue, "jobs");
  }

  /** Resolves with true when the queue has work, and with false after `ms` milliseconds or an interruption. */
  async wait(ms: number): Promise<boolean> {
    const operations = this.#operations;
    if (operations.isOver || this.#isInterrupted) return false;
    return await this.#bell.wait(ms, async () => {
      const { hasWork, due } = await operations.run("waitState", operations.queue);
      return { isNew: hasWork, ...(due === undefined ? {} : { within: due - Date.now() }) };
    });
  }

  /** Ends the current wait. */
  cancel(): void {
    this.#bell.cancel();
  }

  /** Ends the current wait, and refuses further ones until {@link JobWaiter.resume}. */
  interrupt(): void {
    this.#isInterrupted = true;
    this.#bell.cancel();
  }

  resume(): void {
    this.#isInterrupted = false;
  }
}
