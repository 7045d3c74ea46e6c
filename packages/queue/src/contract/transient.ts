import { setTimeout as delay } from "node:timers/promises";
import { ConnectionCutError } from "./connection-cut.ts";

/**
 * The reasons for which an engine fails a command that succeeds when it is repeated:
 *
 * - `full`: the engine has no room left. It did not execute the command.
 * - `refused`: the engine refuses the command for now, as a deadlock's victim or a read-only replica does. It did not
 *   execute the command.
 * - `cut`: the connection was lost before the answer. The engine may have executed the command or not.
 *
 * Every engine says by {@link Engine.transient} which of its errors these are. All other errors are final.
 */
export type Transient = "full" | "refused" | "cut";

/** Codes of Node's socket errors that end a connection or keep one from being opened. */
const socketCodes = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "EAI_AGAIN",
]);

/** Whether a connection failed: by Node's code for it, or by an engine's {@link ConnectionCutError}. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof ConnectionCutError) return true;
  // Node tries all addresses of a name, and fails with one error for each.
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isConnectionLost);
  return error instanceof Error && socketCodes.has((error as { code?: string }).code ?? "");
}

/** The first pause before a command is repeated, and the longest; milliseconds. */
const pauseAtFirst = 50;
const pauseAtMost = 1_000;

/** How long to wait before a command is repeated that failed `times` times in a row; milliseconds. */
export function pauseBeforeRepeat(times: number): number {
  const pause = Math.min(pauseAtMost, pauseAtFirst * 2 ** Math.min(times - 1, 10));
  // Two sessions that were in each other's way must not meet again.
  return pause * (0.75 + Math.random() / 2);
}

/** The part of an engine that {@link untilAnswered} needs. */
interface Fallible {
  transient(error: unknown): Transient | undefined;
}

/**
 * Asks an engine until it answers, or fails for good. The question is asked again after a `cut` too, so the engine may
 * execute it more than once: it must be a look, or a command that changes nothing the second time.
 *
 * @param isWanted - Whether to ask again; the last error is thrown if not.
 */
export async function untilAnswered<T>(
  engine: Fallible,
  ask: () => Promise<T>,
  isWanted: () => boolean = () => true,
): Promise<T> {
  for (let times = 1; ; times++) {
    try {
      return await ask();
    } catch (error) {
      if (engine.transient(error) === undefined || !isWanted()) throw error;
    }
    await delay(pauseBeforeRepeat(times));
  }
}

/**
 * Has an engine execute a command that it accepts only once, such as one that gives a job's lock up. If it refuses the
 * command after a try whose answer was lost, the try before was executed.
 */
export async function untilDone(engine: Fallible, command: () => Promise<unknown>): Promise<void> {
  let mayBeDone = false;
  await untilAnswered(engine, async () => {
    try {
      await command();
    } catch (error) {
      const reason = engine.transient(error);
      if (reason === undefined && mayBeDone) return;
      mayBeDone ||= reason === "cut";
      throw error;
    }
  });
}
