import { codeOf } from "../../error-code.ts";
import { isEngineFull } from "../../contract/engine-full.ts";
import { isConnectionLost } from "../../contract/transient.ts";
import type { Transient } from "../../contract/transient.ts";

/** The SQLSTATEs of statements that PostgreSQL rolled back and accepts later. */
const REFUSED: ReadonlySet<unknown> = new Set([
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  "55P03", // lock_not_available
  "57014", // query_canceled, as by a statement timeout
  "25006", // read_only_sql_transaction: a standby, or a primary that is being replaced
  "53000", // insufficient_resources
  "53200", // out_of_memory
  "53300", // too_many_connections
  "53400", // configuration_limit_exceeded
  "57P03", // cannot_connect_now: the server starts or stops
]);

/** The SQLSTATEs of sessions that ended. A statement may have been committed before. */
const CUT: ReadonlySet<unknown> = new Set([
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P05", // idle_session_timeout
  "25P03", // idle_in_transaction_session_timeout
]);

/** The messages of `pg` and `pg-pool` for a lost connection. These errors have no code. */
const LOST =
  /^Connection terminated|^Client has encountered a connection error|^timeout exceeded when trying to connect|^Client was closed|^Client network socket disconnected|^connection timeout/i;

/** {@link Engine.transient} for errors of PostgreSQL and of its client. */
export function postgresTransient(error: unknown): Transient | undefined {
  if (isEngineFull(error)) return "full";
  if (isConnectionLost(error)) return "cut";
  if (!(error instanceof Error)) return undefined;
  const code = String(codeOf(error)); // The codes of BullMQ's own errors are numbers.
  if (REFUSED.has(code)) return "refused";
  // Class 08 has PostgreSQL's errors of connections.
  if (CUT.has(code) || code.startsWith("08") || LOST.test(error.message)) return "cut";
  return undefined;
}
