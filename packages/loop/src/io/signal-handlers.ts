import { constants } from "node:os";
import { ArgumentError } from "../errors.ts";
import type { Loop } from "../kernel/loop.ts";

/** Signals that no process can handle (SIGKILL, SIGSTOP), and the signal that Node reserves (SIGPROF). */
const REFUSED = new Set<string>(["SIGKILL", "SIGSTOP", "SIGPROF"]);

/** The signal handlers of a loop, at most one for each signal. */
export class SignalHandlers {
  readonly #loop: Loop;
  readonly #listeners = new Map<NodeJS.Signals, () => void>();

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  has(signal: NodeJS.Signals): boolean {
    return this.#listeners.has(signal);
  }

  add(signal: NodeJS.Signals, callback: () => unknown): void {
    if (!Object.hasOwn(constants.signals, signal) || REFUSED.has(signal)) {
      throw new ArgumentError(
        `Expected \`signal\` to be a signal that can be handled, such as "SIGUSR2", got ${signal}`,
      );
    }
    this.remove(signal);
    const listener = (): void => {
      this.#loop.callSoon(callback);
    };
    this.#listeners.set(signal, listener);
    process.on(signal, listener);
  }

  remove(signal: NodeJS.Signals): boolean {
    const listener = this.#listeners.get(signal);
    if (listener === undefined) return false;
    process.off(signal, listener);
    return this.#listeners.delete(signal);
  }

  removeAll(): void {
    for (const signal of this.#listeners.keys()) this.remove(signal);
  }
}
