import { isEngineFull } from "../engine-full.ts";
import { type Transient, isConnectionLost } from "../transient.ts";

/** Says whether an error of Redis or of ioredis passes when the command is repeated; see {@link Transient}. */
export function redisTransient(error: unknown): Transient | undefined {
  if (isEngineFull(error)) return "full";
  // ioredis gives transactions up with an AbortError when part of their answer was read; others it sends again.
  if (isConnectionLost(error) || (error instanceof Error && error.name === "AbortError")) return "cut";
  return undefined;
}
