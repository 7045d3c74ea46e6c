import { constants } from "node:os";
import { STOP_SIGNALS, StopSignals } from "../stop-signals.ts";
import type { StopSignal } from "../stop-signals.ts";
import type { Task } from "../task/task.ts";

const exitCodeOf = (signal: StopSignal): number => 128 + constants.signals[signal];

/** The signals that a run has received, and the exit code that they ask for. */
export interface RunSignals {
  readonly received: StopSignal | undefined;
  readonly exitCode: number;
  stop(): void;
}

/**
 * Handles the stop signals of a run. The first SIGINT or SIGTERM cancels `task`, so that the program can clean up. The
 * second signal, or a signal after the end of the task, ends the process with the exit code of a shell for that signal.
 * A signal for which the program has a handler of its own stays the program's, unless `isAsked` is true.
 */
export function onStopSignals(task: Task<unknown>, isAsked: boolean): RunSignals {
  const exit = (signal: StopSignal): void => process.exit(exitCodeOf(signal));
  const signals = new StopSignals({
    signals: STOP_SIGNALS.filter((signal) => isAsked || process.listenerCount(signal) === 0),
    ignores: (signal) => task.getLoop()._handlesSignal(signal), // The program handles this one itself.
    onFirst: (signal) => {
      if (task.done()) exit(signal);
      else task.cancel(`cancelled by ${signal}`);
    },
    onSecond: exit,
  });
  return {
    get received() {
      return signals.received;
    },
    get exitCode() {
      return signals.received === undefined ? 0 : exitCodeOf(signals.received);
    },
    stop: () => signals.dispose(),
  };
}

/** Errors of runs that a signal ended, with the exit code of that signal. */
const exitCodes = new WeakMap<Error, number>();
let isMonitoring = false;

/**
 * Makes the process end with `exitCode`. If no code catches `error`, the process ends quietly and at once; else it ends
 * with the program. A program that catches the error can set another `process.exitCode`.
 *
 * Node reports an uncaught error with its source line and its stack, and exits with 1. Node calls the monitor first,
 * which changes nothing for other errors.
 */
export function endsProcess(error: Error, exitCode: number): void {
  process.exitCode = exitCode;
  exitCodes.set(error, exitCode);
  if (isMonitoring) return;
  isMonitoring = true;
  process.on("uncaughtExceptionMonitor", (uncaught: unknown) => {
    const code = uncaught instanceof Error ? exitCodes.get(uncaught) : undefined;
    if (code !== undefined) process.exit(code);
  });
}
