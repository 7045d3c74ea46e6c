import { runHere } from "./here.ts";

/** The run of the calling code; the result of {@link currentRun}. */
export interface CurrentRun {
  readonly id: string;
  /** The number of this start of the run, from 1. It differs at a replay: for logs only. */
  readonly attempt: number;
  /** The number of ticks of the history so far. */
  readonly historyLength: number;
  /** Whether the code repeats what is recorded. For logs only: code that branches on it does not follow its history. */
  readonly isReplaying: boolean;
  /** Writes a line to the run's log; at a replay it is not written again. */
  log(line: string): void;
}

/**
 * Returns the run of the calling code; undefined outside any run.
 *
 * @example
 * ```ts
 * import { currentRun } from "@taskloom/workflow";
 *
 * console.log(currentRun()); // undefined
 * ```
 */
export function currentRun(): CurrentRun | undefined {
  const run = runHere();
  if (run === null) return undefined;
  return {
    id: run.id,
    attempt: run.attempt,
    historyLength: run.length,
    isReplaying: run.isReplaying,
    log: (line) => run.log(line),
  };
}
