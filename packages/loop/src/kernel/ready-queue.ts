/** Something that the loop runs once: a task's next step, a callback's handle, a sleep that is over. */
export interface Runnable {
  /** @internal */
  _run(): void;
}

/**
 * What is ready to run, first in first out: a ring buffer that doubles when it is full. Tasks are entries
 * themselves, so that waking one allocates neither a handle nor a closure.
 */
export class ReadyQueue {
  #ring: (Runnable | undefined)[] = Array.from({ length: 64 });
  #mask = 63;
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: Runnable): void {
    if (this.#size > this.#mask) this.#grow();
    this.#ring[(this.#head + this.#size++) & this.#mask] = item;
  }

  shift(): Runnable {
    const head = this.#head;
    const item = this.#ring[head]!;
    this.#ring[head] = undefined;
    this.#head = (head + 1) & this.#mask;
    this.#size--;
    return item;
  }

  /** Puts the first `count` entries into another order; `random(n)` gives an integer from 0 to n - 1. */
  shuffle(count: number, random: (n: number) => number): void {
    for (let i = count - 1; i > 0; i--) {
      const j = random(i + 1);
      const a = (this.#head + i) & this.#mask;
      const b = (this.#head + j) & this.#mask;
      const item = this.#ring[a];
      this.#ring[a] = this.#ring[b];
      this.#ring[b] = item;
    }
  }

  clear(): void {
    this.#ring = Array.from({ length: 64 });
    this.#mask = 63;
    this.#head = this.#size = 0;
  }

  #grow(): void {
    const old = this.#ring;
    const ring: (Runnable | undefined)[] = Array.from({ length: old.length * 2 });
    for (let i = 0; i < old.length; i++) ring[i] = old[(this.#head + i) & this.#mask];
    this.#ring = ring;
    this.#mask = ring.length - 1;
    this.#head = 0;
  }
}
