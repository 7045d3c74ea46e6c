import { exitCodes } from "../cli/failure.ts";

/** SIGTERM and Ctrl-C: the first asks to stop, the second ends the process at once. */
export class StopSignals {
  readonly #asked = Promise.withResolvers<string>();
  readonly #listener = (signal: NodeJS.Signals): void => {
    if (this.#isAsked) {
      this.#atOnce();
      process.exit(exitCodes.interrupted);
    }
    this.#isAsked = true;
    this.#asked.resolve(signal);
  };
  readonly #atOnce: () => void;
  #isAsked = false;

  /** @param atOnce is called before the process ends at the second signal. */
  constructor(atOnce: () => void = () => {}) {
    this.#atOnce = atOnce;
    process.on("SIGINT", this.#listener).on("SIGTERM", this.#listener);
  }

  /** Ends at the first signal, with its name. */
  asked(): Promise<string> {
    return this.#asked.promise;
  }

  dispose(): void {
    process.off("SIGINT", this.#listener).off("SIGTERM", this.#listener);
  }
}
