import pg from "pg";
import type { PoolConfig } from "pg";
import type { ConnectToRenew, LockExtender } from "../../contract/lock-terms.ts";
import { extendLocks } from "./extend-locks.ts";
import { Session } from "./session.ts";

export const connectToRenew: ConnectToRenew<PoolConfig> = (config, queues, patience) => {
  const connection = new pg.Pool({
    ...config,
    max: 1,
    Client: Session,
    query_timeout: patience,
    connectionTimeoutMillis: patience,
  });
  // The pool opens another connection. Locks that lapse meanwhile are reported as lost.
  connection.on("error", () => {});
  return queues.map((name): LockExtender => ({
    extend: (...locks) => extendLocks(connection, name, ...locks),
  }));
};
