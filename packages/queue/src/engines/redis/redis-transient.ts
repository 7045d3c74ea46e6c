import { isEngineFull } from "../../contract/engine-full.ts";
import { isConnectionLost } from "../../contract/transient.ts";
import type { Transient } from "../../contract/transient.ts";
import { isNotPrimary } from "./writable-redis.ts";

/**
 * The answers of a server that executed nothing and accepts the command later: too few replicas are connected, a script runs
 * for too long, a cluster lacks nodes or moves keys, the server does not have a script any more. ioredis loads a missing
 * script again, but SCRIPT FLUSH can come between its check for scripts and a pipeline.
 */
const REFUSED = /^(?:NOREPLICAS|BUSY|CLUSTERDOWN|TRYAGAIN|NOSCRIPT)\b/;

/** {@link Engine.transient} for errors of Redis and of ioredis. */
export function redisTransient(error: unknown): Transient | undefined {
  if (!(error instanceof Error)) return undefined;
  if (isEngineFull(error)) return "full";
  if (isNotPrimary(error) || REFUSED.test(error.message)) return "refused";
  // ioredis fails a transaction with an AbortError if a part of its answer was read, and repeats any other transaction.
  if (isConnectionLost(error) || error.name === "AbortError") return "cut";
  // If Redis refuses one command of a transaction, the transaction fails as a whole, and ioredis adds the reasons.
  if (!error.message.startsWith("EXECABORT") || !("previousErrors" in error)) return undefined;
  return Array.isArray(error.previousErrors) ? redisTransient(error.previousErrors[0]) : undefined;
}
