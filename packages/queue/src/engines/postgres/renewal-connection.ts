import type { IQueueBackend } from "bullmq";
import pg from "pg";
import type { PoolConfig } from "pg";
import type { ConnectToRenew } from "../../contract/lock-terms.ts";
import { postgresBackend } from "./postgres-backend.ts";
import { Session } from "./session.ts";

export const connectToRenew: ConnectToRenew<PoolConfig> = (config, queues, patience) => {
  const backend = postgresBackend(async () => {}); // The engine of this process has made the tables.
  const connection = new pg.Pool({
    ...config,
    max: 1,
    Client: Session,
    query_timeout: patience,
    connectionTimeoutMillis: patience,
  });
  // The pool opens another connection. Locks that lapse meanwhile are reported as lost.
  connection.on("error", () => {});
  return queues.map((name): IQueueBackend => backend(name, { connection }));
};
