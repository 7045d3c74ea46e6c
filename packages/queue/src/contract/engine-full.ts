import { EngineFullError } from "../errors.ts";

const fullWords = /No space left on device|disk full|database or disk is full|^OOM command|^MISCONF/i;

/**
 * Whether an error says that the engine has no room left: PostgreSQL's and SQLite's words for a full disk, and Redis's
 * for a full memory or disk. What was there is kept, and the same command works again once there is room.
 */
export function isEngineFull(error: unknown): boolean {
  return error instanceof EngineFullError || (error instanceof Error && fullWords.test(error.message));
}
