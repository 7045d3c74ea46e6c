import { isEngineFull } from "../../contract/engine-full.ts";
import { isConnectionLost } from "../../contract/transient.ts";
import type { Transient } from "../../contract/transient.ts";
import { isNotPrimary } from "./writable-redis.ts";

/**
 * Answers of a server that executed nothing and accepts the command later: too few replicas are connected, a script
 * runs for too long, a cluster is without some of its nodes or moves keys, the server has forgotten a script. ioredis
 * loads a forgotten script again, but SCRIPT FLUSH can come between its look for scripts and a pipeline.
 */
const refused = /^(?:NOREPLICAS|BUSY|CLUSTERDOWN|TRYAGAIN|NOSCRIPT)\b/;

/** Says whether an error of Redis or of ioredis passes when the command is repeated; see {@link Transient}. */
export function redisTransient(error: unknown): Transient | undefined {
  if (!(error instanceof Error)) return undefined;
  if (isEngineFull(error)) return "full";
  if (isNotPrimary(error) || refused.test(error.message)) return "refused";
  // ioredis gives transactions up with an AbortError when part of their answer was read; others it sends again.
  if (isConnectionLost(error) || error.name === "AbortError") return "cut";
  // A transaction of which Redis refused a command fails as a whole, and ioredis adds why.
  const [reason] = (error as { previousErrors?: Error[] }).previousErrors ?? [];
  return error.message.startsWith("EXECABORT") && reason !== undefined ? redisTransient(reason) : undefined;
}
