import { checkOptionNames } from "../check-option-names.ts";
import { TaskOptionsError } from "../errors.ts";
import { messageOf } from "../message-of.ts";
import { LONGEST_TIME_MS, wholeMilliseconds } from "../milliseconds.ts";

/** The wait before the next attempt: always `delay` ms, or `delay` ms doubled at each attempt. */
export interface Backoff {
  readonly type: "fixed" | "exponential";
  /** Milliseconds before the second attempt. */
  readonly delay: number;
  /**
   * The random part of the delay, 0 to 1: the wait is between `delay * (1 - jitter)` and `delay`, so that jobs that fail
   * together are not retried together. Default 0.
   */
  readonly jitter?: number;
  /** The greatest wait in milliseconds, before the jitter. Default: no cap. */
  readonly maxDelay?: number;
}

/**
 * Returns the milliseconds before the next attempt.
 *
 * @param attempt the number of the attempt that has failed; the first is 1.
 * @param error the error of the attempt.
 */
export type BackoffFunction = (attempt: number, error: unknown) => number;

const BACKOFF_OPTIONS: Readonly<Record<keyof Backoff, true>> = {
  type: true,
  delay: true,
  jitter: true,
  maxDelay: true,
};
/** The wait if a back-off function throws, or returns no time: a task that fails at once must not spin. */
const FALLBACK_MS = 1_000;

/**
 * Returns the back-off with whole milliseconds.
 *
 * @param owner names the task or submission in error messages, as in "of task x".
 * @throws {@link TaskOptionsError} for an invalid back-off.
 */
export function resolveBackoff(owner: string, backoff: Backoff): Backoff {
  if (typeof backoff === "function")
    throw new TaskOptionsError(
      `Expected \`backoff\` ${owner} to be an object, got a function; give the function to defineTask, since the worker calls it`,
    );
  if (typeof backoff !== "object" || backoff === null)
    throw new TaskOptionsError(
      `Expected \`backoff\` ${owner} to be { type: "fixed" | "exponential", delay: ms }, got ${JSON.stringify(backoff)}`,
    );
  checkOptionNames(backoff, BACKOFF_OPTIONS, `\`backoff\` ${owner}`);
  const { type, delay, jitter = 0, maxDelay } = backoff;
  if (!((type === "fixed" || type === "exponential") && delay >= 0 && jitter >= 0 && jitter <= 1)) {
    throw new TaskOptionsError(
      `Expected \`backoff\` ${owner} to be { type: "fixed" | "exponential", delay: ms, jitter?: 0 to 1, maxDelay?: ms }, got ${JSON.stringify({ type, delay, jitter, maxDelay })}`,
    );
  }
  return {
    ...backoff,
    delay: wholeMilliseconds(`\`backoff.delay\` ${owner}`, delay),
    ...(maxDelay === undefined
      ? {}
      : { maxDelay: wholeMilliseconds(`\`backoff.maxDelay\` ${owner}`, maxDelay) }),
  };
}

/**
 * Returns the milliseconds before the next attempt. A back-off function that throws, or returns no time, is reported by a
 * process warning, and the wait is a second.
 *
 * @param attempt the number of the attempt that has failed; the first is 1.
 * @param random returns a number from 0 to 1.
 */
export function backoffDelay(
  backoff: Backoff | BackoffFunction,
  attempt: number,
  error: unknown,
  random: () => number = Math.random,
): number {
  if (typeof backoff === "function") return delayBy(backoff, attempt, error);
  const { type, delay, jitter = 0, maxDelay = LONGEST_TIME_MS } = backoff;
  const whole = Math.min(type === "fixed" ? delay : delay * 2 ** (attempt - 1), maxDelay);
  return jitter === 0 ? whole : Math.round(whole * (1 - jitter * random()));
}

function delayBy(backoff: BackoffFunction, attempt: number, error: unknown): number {
  try {
    return wholeMilliseconds("a back-off function's result", backoff(attempt, error));
  } catch (problem) {
    process.emitWarning(
      `The back-off function of a task failed after attempt ${attempt}, and the next attempt waits ${FALLBACK_MS} ms: ${messageOf(problem)}`,
      { type: "TaskloomWarning", code: "BACKOFF_FAILED" },
    );
    return FALLBACK_MS;
  }
}
