import { EXIT_CODES } from "../errors/cli-failure.ts";

/**
 * A signal that follows the first one within so many milliseconds is the same one: Ctrl-C reaches the whole process
 * group, and a runner such as npm or pnpm forwards it once more.
 */
const echoTime = 100;

/** SIGTERM and Ctrl-C: the first asks to stop, the second ends the process at once. */
export class StopSignals {
  readonly #asked = Promise.withResolvers<string>();
  readonly #listener = (signal: NodeJS.Signals): void => {
    if (this.#askedAt === undefined) {
      this.#askedAt = performance.now();
      return this.#asked.resolve(signal);
    }
    if (this.#echoLeft() > 0) return;
    this.#atOnce();
    process.exit(EXIT_CODES.interrupted);
  };
  readonly #atOnce: () => void;
  #askedAt: number | undefined;

  /** @param atOnce is called before the process ends at the second signal. */
  constructor(atOnce: () => void = () => {}) {
    this.#atOnce = atOnce;
    process.on("SIGINT", this.#listener).on("SIGTERM", this.#listener);
  }

  #echoLeft(): number {
    return this.#askedAt === undefined ? 0 : this.#askedAt + echoTime - performance.now();
  }

  /** Resolves at the first signal, with its name. */
  asked(): Promise<string> {
    return this.#asked.promise;
  }

  /** Stops listening; an echo of the first signal that is still to come does not end the process. */
  dispose(): void {
    const remove = (): void => void process.off("SIGINT", this.#listener).off("SIGTERM", this.#listener);
    const left = this.#echoLeft();
    if (left > 0) setTimeout(remove, left).unref();
    else remove();
  }
}
