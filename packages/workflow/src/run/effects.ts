import type { RunHost } from "./host.ts";

interface Held {
  /** The number of stored entries that the effect waits for. */
  readonly after: number;
  readonly start: () => void;
}

/**
 * Output commit: an effect that a tick asks for waits until the tick's entry is released. A replay asks for nothing,
 * since its effects were had, or are taken up at its end.
 */
export class Effects {
  readonly host: RunHost;
  isReplaying = false;
  /** The number of entries of the history, with that of the tick under way. */
  position = 0;
  #released = 0;
  #held: Held[] = [];

  constructor(host: RunHost) {
    this.host = host;
  }

  /** Holds an effect of the tick under way. */
  add(start: () => void): void {
    if (!this.isReplaying) this.#held.push({ after: this.position, start });
  }

  get isEmpty(): boolean {
    return this.#held.length === 0;
  }

  /** Starts the effects of the first `count` entries. */
  release(count: number): void {
    this.#released = Math.max(this.#released, count);
    this.flush();
  }

  /** Starts the effects whose entries are released already. */
  flush(): void {
    while (this.#held.length > 0 && this.#held[0]!.after <= this.#released) this.#held.shift()!.start();
  }

  drop(): void {
    this.#held = [];
  }
}
