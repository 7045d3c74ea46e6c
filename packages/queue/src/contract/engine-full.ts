import { EngineFullError } from "../errors.ts";

const FULL = /No space left on device|disk full|database or disk is full|^OOM command|^MISCONF/i;

/**
 * Returns whether an error means that the engine has no room left: a full disk of PostgreSQL or SQLite, a full memory or
 * disk of Redis. Stored jobs are kept, and the command succeeds once there is room.
 */
export function isEngineFull(error: unknown): boolean {
  return error instanceof EngineFullError || (error instanceof Error && FULL.test(error.message));
}
