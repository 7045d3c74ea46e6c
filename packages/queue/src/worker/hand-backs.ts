import { getEventLoop } from "@taskloom/loop";

/** A stopped job waits at most this long for other jobs that are stopping, so that all are handed back in order. */
const MAX_WAIT_MS = 100;

interface HandBack {
  /** The position of the run among the runs of its lane. */
  readonly order: number;
  readonly handBack: () => Promise<void>;
  readonly resolve: (handedBack: Promise<void>) => void;
}

/**
 * Hands running jobs back so that the job that began first is taken first again. The last job is handed back first, since
 * Redis puts each job in front of all waiting jobs. On the other engines each job has kept its place.
 */
export class HandBacks {
  readonly #countStopping: () => number;
  #stopped: HandBack[] = [];
  #isWaiting = false;

  /** @param countStopping counts the runs that are to be handed back, whether they have stopped or not. */
  constructor(countStopping: () => number) {
    this.#countStopping = countStopping;
  }

  /** Adds a job whose run has stopped. Resolves when `handBack` has handed the job back. */
  add(order: number, handBack: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      this.#stopped.push({ order, handBack, resolve });
      if (this.#stopped.length >= this.#countStopping()) return this.#handBackAll();
      if (this.#isWaiting) return;
      this.#isWaiting = true;
      getEventLoop().callLater(MAX_WAIT_MS, () => this.#handBackAll());
    });
  }

  #handBackAll(): void {
    this.#isWaiting = false;
    const stopped = this.#stopped.toSorted((a, b) => b.order - a.order);
    this.#stopped = [];
    for (const { handBack, resolve } of stopped) resolve(handBack());
  }
}
