import { RefusedError } from "../database/database.ts";
import type { Database } from "../database/database.ts";
import { bullmqError } from "../database/errors.ts";
import type { OperationArgs, OperationName, OperationResult } from "../operations/index.ts";

/** The command and the job that BullMQ's error names if an operation is refused. */
export interface Refusable {
  readonly command: string;
  readonly jobId?: string;
  readonly parentKey?: string;
  readonly state?: string;
}

/** Runs the operations of a backend for one queue on its database. */
export class QueueOperations {
  readonly queue: string;
  readonly #database: Database;
  readonly #backend: { readonly closing: Promise<void> | undefined };

  constructor(database: Database, queue: string, backend: { readonly closing: Promise<void> | undefined }) {
    this.#database = database;
    this.queue = queue;
    this.#backend = backend;
  }

  /** Whether the backend is closed, or its database has ended. */
  get isOver(): boolean {
    return this.#backend.closing !== undefined || this.#database.ended !== undefined;
  }

  /** Runs an operation. After `close()` an operation never settles, as a command of a closed Redis client. */
  run<N extends OperationName>(name: N, ...args: OperationArgs<N>): Promise<OperationResult<N>> {
    const { isClosing, ended } = this.#database;
    if (this.#backend.closing !== undefined && (isClosing || ended !== undefined))
      return new Promise(() => {});
    return this.#database.call(name, ...args);
  }

  /** Runs an operation. If BullMQ's rules refuse it, the result rejects with BullMQ's error. */
  async runOrRefuse<N extends OperationName>(
    refusable: Refusable,
    name: N,
    ...args: OperationArgs<N>
  ): Promise<OperationResult<N>> {
    try {
      return await this.run(name, ...args);
    } catch (error) {
      if (error instanceof RefusedError) throw bullmqError({ code: error.code, ...refusable });
      throw error;
    }
  }
}
