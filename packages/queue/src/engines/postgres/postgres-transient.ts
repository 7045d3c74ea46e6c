import { isEngineFull } from "../../contract/engine-full.ts";
import { isConnectionLost } from "../../contract/transient.ts";
import type { Transient } from "../../contract/transient.ts";

/** SQLSTATEs of statements that PostgreSQL rolled back and accepts later. */
const refused = new Set([
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

/** SQLSTATEs of sessions that ended; the commit of a statement may have come before. */
const cut = new Set([
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P05", // idle_session_timeout
  "25P03", // idle_in_transaction_session_timeout
]);

/** The words of `pg` and `pg-pool` for a lost connection, which have no code. */
const lostByMessage =
  /^Connection terminated|^Client has encountered a connection error|^timeout exceeded when trying to connect|^Client was closed|^Client network socket disconnected|^connection timeout/i;

/** Says whether an error of PostgreSQL or of its client passes when the statement is repeated; see {@link Transient}. */
export function postgresTransient(error: unknown): Transient | undefined {
  if (isEngineFull(error)) return "full";
  if (isConnectionLost(error)) return "cut";
  if (!(error instanceof Error)) return undefined;
  const code = String((error as { code?: unknown }).code); // BullMQ's own errors have numbers.
  if (refused.has(code)) return "refused";
  // Class 08 is PostgreSQL's for connections.
  if (cut.has(code) || code.startsWith("08") || lostByMessage.test(error.message)) return "cut";
  return undefined;
}
