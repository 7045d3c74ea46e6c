/**
 * A first-in, first-out queue on a ring buffer that doubles when it is full. Removing from the middle is
 * linear.
 */
export class Deque<T> {
  #ring: (T | undefined)[] = Array.from({ length: 8 });
  #mask = 7;
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    if (this.#size > this.#mask) this.#resize();
    this.#ring[(this.#head + this.#size++) & this.#mask] = item;
  }

  /** Removes and returns the first item. The deque must not be empty. */
  shift(): T {
    const item = this.#ring[this.#head] as T;
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & this.#mask;
    this.#size--;
    return item;
  }

  /** Removes the first occurrence of an item, if there is one. */
  delete(item: T): void {
    const ring = this.#ring;
    const mask = this.#mask;
    for (let i = 0; i < this.#size; i++) {
      if (ring[(this.#head + i) & mask] !== item) continue;
      for (let j = i; j < this.#size - 1; j++) {
        ring[(this.#head + j) & mask] = ring[(this.#head + j + 1) & mask];
      }
      this.#size--;
      ring[(this.#head + this.#size) & mask] = undefined;
      return;
    }
  }

  #resize(): void {
    const old = this.#ring;
    const ring: (T | undefined)[] = Array.from({ length: old.length * 2 });
    for (let i = 0; i < old.length; i++) ring[i] = old[(this.#head + i) & this.#mask];
    this.#ring = ring;
    this.#mask = ring.length - 1;
    this.#head = 0;
  }
}
