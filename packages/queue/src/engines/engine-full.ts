import { EngineFullError } from "../errors.ts";

/**
 * Whether an error says that the engine has no room left: PostgreSQL's and PGlite's words for a full disk, and Redis's
 * for a full memory or disk. What was there is kept, and the same command works again once there is room.
 */
export function isEngineFull(error: unknown): boolean {
  if (error instanceof EngineFullError) return true;
  return (
    error instanceof Error && /No space left on device|disk full|^OOM command|^MISCONF/i.test(error.message)
  );
}
