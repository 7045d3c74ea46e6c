import { setTimeout as delay } from "node:timers/promises";
import { codeOf } from "../error-code.ts";
import { ConnectionCutError } from "./connection-cut.ts";

/**
 * The reasons for which an engine fails a command that succeeds when it is repeated:
 *
 * - `full`: the engine has no room left. It did not execute the command.
 * - `refused`: the engine refuses the command for now, as a deadlock's victim or a read-only replica does. It did not
 *   execute the command.
 * - `cut`: the connection was lost before the answer. The engine may have executed the command or not.
 *
 * {@link Engine.transient} recognizes these errors for its engine. All other errors are final.
 */
export type Transient = "full" | "refused" | "cut";

/** Codes of Node's errors for a connection that ended or could not be opened. */
const SOCKET_CODES: ReadonlySet<unknown> = new Set([
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

/** Returns whether a connection failed: by Node's code for it, or by an engine's {@link ConnectionCutError}. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof ConnectionCutError) return true;
  // Node tries all addresses of a name and fails with one error for each.
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isConnectionLost);
  return SOCKET_CODES.has(codeOf(error));
}

/** The first and the longest pause before a command is repeated. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/** Returns the pause before a command is repeated that failed `times` times in a row, in milliseconds. */
export function pauseBeforeRepeat(times: number): number {
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(times - 1, 10));
  // Two sessions that deadlocked must not meet again, so the pause is random.
  return pause * (0.75 + Math.random() / 2);
}

/** The part of an engine that {@link untilAnswered} needs. */
interface Fallible {
  transient(error: unknown): Transient | undefined;
}

/**
 * Repeats a command until the engine answers or its error is final. A command is repeated after a `cut`, too, so the engine
 * may execute it twice: it must be a read, or a command that changes nothing the second time.
 *
 * @param isWanted returns whether to repeat the command; if not, the last error is thrown.
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
 * Repeats a command that the engine accepts only once, such as one that releases a job's lock. If the engine refuses the
 * command after an earlier answer was lost, the earlier command was executed.
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
