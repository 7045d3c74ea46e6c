import type { BackendFactory } from "bullmq";
import { SqliteQueueBackend } from "./backend.ts";
import type { ClientNames } from "./backend/connection.ts";
import type { BackendOptions } from "./backend/options.ts";
import { openOptions } from "./backend-options.ts";
import type { SqliteConnectionOptions } from "./backend-options.ts";
import { Database } from "./database/database.ts";

/** The names of the clients of each database in this process, for BullMQ's `getWorkers`. */
const namesOf = new WeakMap<Database, ClientNames>();

function namesFor(database: Database): ClientNames {
  const known = namesOf.get(database);
  if (known !== undefined) return known;
  const names = new Map<object, string>();
  const made: ClientNames = {
    set: (backend, name) => void names.set(backend, name),
    remove: (backend) => void names.delete(backend),
    list: () => [...names.values()],
  };
  namesOf.set(database, made);
  return made;
}

/**
 * Makes the backend with which BullMQ's classes use a SQLite file in place of a server.
 *
 * @example
 * ```ts
 * import { mkdtemp } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 * import { Queue, QueueEvents, Worker } from "bullmq";
 * import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
 *
 * const connection = { path: `${await mkdtemp(`${tmpdir()}/bullmq-`)}/jobs.sqlite` };
 * const queue = new Queue("paint", { connection }, createSqliteBackend);
 * const events = new QueueEvents("paint", { connection }, createSqliteBackend);
 * const worker = new Worker("paint", async (job) => `painted ${job.data.colour}`, { connection }, createSqliteBackend);
 * await events.waitUntilReady();
 *
 * const job = await queue.add("cars", { colour: "blue" });
 * console.log(await job.waitUntilFinished(events)); // painted blue
 * await Promise.all([worker.close(), events.close(), queue.close()]);
 * ```
 */
export const createSqliteBackend: BackendFactory<SqliteQueueBackend, SqliteConnectionOptions> = (
  name,
  options,
  { blocking = false, withBlockingConnection = false } = {},
) => {
  const database = Database.use(openOptions(options.connection));
  const { name: workerName } = options as BackendOptions;
  // BullMQ lists workers and QueueEvents by the names of their connections.
  const clientName = withBlockingConnection
    ? `${name}${workerName === undefined ? "" : `:w:${workerName}`}`
    : blocking
      ? `${name}:qe`
      : undefined;
  return new SqliteQueueBackend(
    { database, names: namesFor(database), queue: name, ownsDatabase: true, clientName },
    options as BackendOptions,
  );
};
