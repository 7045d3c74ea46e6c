import { getEventLoop } from "@taskloom/loop";

/** How long a job that has stopped waits for others that are stopping, to be handed back in order; milliseconds. */
const waitAtMost = 100;

interface HandBack {
  /** When its run began, among those of its lane. */
  readonly order: number;
  readonly give: () => Promise<void>;
  readonly resolve: (given: Promise<void>) => void;
}

/**
 * Hands running jobs back so that the one that began first is taken first again. The last goes back first: on Redis each
 * job goes in front of all that waits. On the other engines each has kept its place.
 */
export class HandBacks {
  readonly #running: () => number;
  #stopped: HandBack[] = [];
  #isWaiting = false;

  /** `running` counts the runs that are being stopped, those that have stopped included. */
  constructor(running: () => number) {
    this.#running = running;
  }

  /** Ends when the job is handed back by `give`. */
  add(order: number, give: () => Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      this.#stopped.push({ order, give, resolve });
      if (this.#stopped.length >= this.#running()) return this.#giveAll();
      if (this.#isWaiting) return;
      this.#isWaiting = true;
      getEventLoop().callLater(waitAtMost, () => this.#giveAll());
    });
  }

  #giveAll(): void {
    this.#isWaiting = false;
    const stopped = this.#stopped.toSorted((a, b) => b.order - a.order);
    this.#stopped = [];
    for (const { give, resolve } of stopped) resolve(give());
  }
}
