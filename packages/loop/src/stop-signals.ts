/** A signal that asks a process to stop. */
export type StopSignal = "SIGINT" | "SIGTERM";

export const STOP_SIGNALS: readonly StopSignal[] = ["SIGINT", "SIGTERM"];

/**
 * A signal that follows the first one within so many milliseconds is its echo: Ctrl-C reaches the whole process group,
 * and a runner such as npm or pnpm forwards it once more.
 */
const ECHO_MS = 100;

/** The listeners of {@link StopSignals}. */
export interface StopSignalOptions {
  /** The signals to listen for; both by default. */
  readonly signals?: readonly StopSignal[];
  /** Returns true for a signal that another listener handles. It then counts as neither the first nor the second. */
  readonly ignores?: (signal: StopSignal) => boolean;
  /** Receives the first signal. */
  readonly onFirst?: (signal: StopSignal) => void;
  /** Receives every later signal that is no echo of the first. Usually it ends the process. */
  readonly onSecond: (signal: StopSignal) => void;
}

/** Listens for SIGINT and SIGTERM: the first signal asks the program to stop, the second to end at once. */
export class StopSignals {
  /** Resolves at the first signal, with its name. */
  readonly asked: Promise<StopSignal>;
  readonly #signals: readonly StopSignal[];
  readonly #listener: (signal: StopSignal) => void;
  #received: StopSignal | undefined;
  #receivedAt = -Infinity;

  constructor({ signals = STOP_SIGNALS, ignores, onFirst, onSecond }: StopSignalOptions) {
    const asked = Promise.withResolvers<StopSignal>();
    this.asked = asked.promise;
    this.#signals = signals;
    this.#listener = (signal) => {
      if (ignores?.(signal) === true || this.#echoLeft() > 0) return;
      if (this.#received !== undefined) return onSecond(signal);
      this.#received = signal;
      this.#receivedAt = performance.now();
      asked.resolve(signal);
      onFirst?.(signal);
    };
    for (const signal of signals) process.on(signal, this.#listener);
  }

  /** The first signal; undefined before it. */
  get received(): StopSignal | undefined {
    return this.#received;
  }

  /** Stops listening. An echo of the first signal that is still to come does not end the process. */
  dispose(): void {
    const remove = (): void => {
      for (const signal of this.#signals) process.off(signal, this.#listener);
    };
    const left = this.#echoLeft();
    if (left > 0) setTimeout(remove, left).unref();
    else remove();
  }

  #echoLeft(): number {
    return this.#receivedAt + ECHO_MS - performance.now();
  }
}
