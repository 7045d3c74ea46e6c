import { constants } from "node:os";
import type { Task } from "../task/task.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
type StopSignal = (typeof SIGNALS)[number];

/**
 * A signal that follows the first one within so many milliseconds is the same one: Ctrl-C reaches the whole process
 * group, and a runner such as npm or pnpm forwards it once more.
 */
const ECHO_TIME = 100;

/** What a run knows about the signals that came. */
export interface StopSignals {
  readonly received: StopSignal | undefined;
  readonly exitCode: number;
  stop(): void;
}

/**
 * The first SIGINT or SIGTERM cancels `task`, so that the program can clean up; the second ends the process
 * with the exit code a shell gives a process killed by that signal. Where the program has a handler of its
 * own, and does not ask for this one, the signal stays the program's.
 */
export function onStopSignals(task: Task<unknown>, isAsked: boolean): StopSignals {
  let received: StopSignal | undefined;
  let receivedAt = -Infinity;
  const echoLeft = (): number => receivedAt + ECHO_TIME - performance.now();
  const handlers = new Map<StopSignal, () => void>();
  for (const signal of SIGNALS) {
    if (!isAsked && process.listenerCount(signal) > 0) continue;
    const handler = (): void => {
      if (task.getLoop()._signalHandlers.has(signal)) return; // the program handles this one itself
      if (echoLeft() > 0) return;
      if (received !== undefined || task.done()) process.exit(128 + constants.signals[signal]);
      received = signal;
      receivedAt = performance.now();
      task.cancel(`cancelled by ${signal}`);
    };
    process.on(signal, handler);
    handlers.set(signal, handler);
  }
  return {
    get received() {
      return received;
    },
    get exitCode() {
      return received === undefined ? 0 : 128 + constants.signals[received];
    },
    stop() {
      const remove = (): void => {
        for (const [signal, handler] of handlers) process.off(signal, handler);
      };
      const left = echoLeft();
      // An echo that comes after the run must not end the process either.
      if (left > 0) setTimeout(remove, left).unref();
      else remove();
    },
  };
}

/** Errors of runs that a signal ended, with the exit code of that signal. */
const exitCodes = new WeakMap<Error, number>();
let isMonitoring = false;

/**
 * Has the process end with `exitCode`: quietly and at once if nobody catches `error`, else whenever the program
 * ends. A program that catches it can set `process.exitCode` to something else.
 *
 * Node reports an uncaught error with its source line and its stack, and exits with 1. It calls the monitor first,
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
