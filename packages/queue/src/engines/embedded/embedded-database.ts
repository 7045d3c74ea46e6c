import { resolve } from "node:path";
import { assertSchemaCompatibility, LATEST_SCHEMA_VERSION, runMigrations } from "bullmq";
import { damaged } from "./data-folder.ts";
import { DatabaseThread } from "./database-thread.ts";
import { EmbeddedDatabaseError } from "./errors.ts";
import { imageFile } from "./image-cache.ts";
import { EmbeddedPool, StatementRunner } from "./pool.ts";
import { recoverRunningJobs } from "./recovery.ts";

export interface EmbeddedDatabaseOptions {
  /** The folder; made when it is missing. It must be on a local disk: network file systems do not lock. */
  path: string;
  /** The HTTP address at which this process answers, told to processes that find the folder in use. */
  address?: string;
}

/**
 * A PostgreSQL (PGlite) in this process, on a thread of its own, for BullMQ's PostgreSQL backend.
 *
 * One process a folder. It survives the death of the process, `kill -9` included: what was acknowledged is there
 * when the folder is opened again. It never syncs to the disk, so a power failure can lose the last seconds.
 *
 * ```ts
 * import { createPostgresBackend, withBackend } from "bullmq";
 * import { EmbeddedDatabase } from "@taskloom/queue";
 *
 * const database = await EmbeddedDatabase.open({ path: ".taskloom" });
 * const { Queue, Worker } = withBackend(createPostgresBackend);
 * const queue = new Queue("mail", { connection: database.createPool() });
 * const worker = new Worker("mail", async (job) => job.data, { connection: database.createPool() });
 * // …
 * await worker.close();
 * await queue.close();
 * await database.close();
 * ```
 */
export class EmbeddedDatabase {
  /** Absolute. */
  readonly path: string;
  /** How many jobs were running when the last process that had the folder died; they wait again. */
  readonly recovered: number;

  #thread: DatabaseThread;
  #runner: StatementRunner;
  #pools = new Set<EmbeddedPool>();
  #crashListeners = new Set<(error: EmbeddedDatabaseError) => void>();

  private constructor(runner: StatementRunner, recovered: number) {
    const { thread } = runner;
    this.path = thread.path;
    this.recovered = recovered;
    this.#thread = thread;
    this.#runner = runner;
    thread.onCrash = (error) => {
      for (const pool of this.#pools) pool.fail(error);
      for (const listener of this.#crashListeners) listener(error);
    };
  }

  /**
   * Locks the folder, makes the database in it or opens the one that is there, and hands back jobs that a dead
   * process left running.
   *
   * Throws an {@link EmbeddedLockedError} (`EMBEDDED_LOCKED`) when another process has the folder, and an
   * {@link EmbeddedDatabaseError} with the code `EMBEDDED_DAMAGED`, `EMBEDDED_VERSION`, `EMBEDDED_PATH` or
   * `EMBEDDED_UNSUPPORTED`; nothing that is in the folder is then changed.
   */
  static async open(options: EmbeddedDatabaseOptions): Promise<EmbeddedDatabase> {
    const path = resolve(options.path);
    const thread = new DatabaseThread(path);
    try {
      const hasData = await thread.order({ do: "prepare", path });
      const runner = new StatementRunner(thread);
      const pool = new EmbeddedPool(runner);
      if (hasData !== true) await makeData(thread, pool);
      await thread.order({ do: "start", beside: false });
      const recovered = await prepareSchema(path, pool);
      const database = new EmbeddedDatabase(runner, recovered);
      if (options.address !== undefined) await database.setAddress(options.address);
      return database;
    } catch (error) {
      await thread.close(false);
      throw error;
    }
  }

  /** Something that BullMQ takes for a `pg.Pool`. Any number of queues and workers can share one. */
  createPool(): EmbeddedPool {
    const pool = new EmbeddedPool(this.#runner);
    this.#pools.add(pool);
    return pool;
  }

  /** Tells processes that find the folder in use where this one answers. */
  async setAddress(address: string): Promise<void> {
    await this.#thread.order({ do: "setAddress", address });
  }

  /** Calls the listener when the database stops by itself; gives a function that stops listening. */
  onCrash(listener: (error: EmbeddedDatabaseError) => void): () => void {
    this.#crashListeners.add(listener);
    return () => this.#crashListeners.delete(listener);
  }

  /**
   * Closes the database and gives the folder free: statements that were sent are run, jobs that still run are
   * handed back. Close queues and workers first. Calls after this one are rejected with `EMBEDDED_CLOSED`.
   */
  async close(): Promise<void> {
    await this.#thread.close(true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** From the image of an empty database; the first time on a machine that is made too, which takes seconds. */
async function makeData(thread: DatabaseThread, pool: EmbeddedPool): Promise<void> {
  const image = imageFile();
  if ((await thread.order({ do: "install", image })) === true) return;
  await thread.order({ do: "start", beside: true });
  await migrate(pool);
  await thread.order({ do: "adopt", image });
}

async function migrate(pool: EmbeddedPool): Promise<void> {
  const client = await pool.connect();
  try {
    await runMigrations(client);
  } finally {
    client.release();
  }
}

async function prepareSchema(path: string, pool: EmbeddedPool): Promise<number> {
  try {
    const version = await assertSchemaCompatibility(pool);
    if (version < LATEST_SCHEMA_VERSION) await migrate(pool);
    return await recoverRunningJobs(pool);
  } catch (error) {
    const { name, message } = error as Error;
    if (error instanceof EmbeddedDatabaseError && error.code !== "EMBEDDED_CRASHED") throw error;
    if (name === "SchemaVersionMismatchError") {
      throw new EmbeddedDatabaseError(
        "EMBEDDED_VERSION",
        path,
        `The data in ${path} was written by a newer version of Taskloom (${message}). Update Taskloom, or use another folder.`,
        { cause: error },
      );
    }
    throw damaged(path, message, error);
  }
}
