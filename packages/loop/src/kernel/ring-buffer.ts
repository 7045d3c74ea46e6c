/**
 * First in, first out: a ring buffer that doubles when it is full. It is the ready queue of a loop, the
 * queue of the waiters of a primitive, and the store of a `Queue`. All of them are one class without
 * subclasses, so that V8 sees one shape in `push` and `shift`, the hottest methods of a loop.
 */
export class RingBuffer<T> {
  /** Without items until the first push: a durable run has several buffers, most of which stay empty. */
  #ring: (T | undefined)[] = NOTHING;
  #mask = -1;
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(item: T): void {
    if (this.#size > this.#mask) this.#grow();
    this.#ring[(this.#head + this.#size++) & this.#mask] = item;
  }

  /** Removes and returns the first item. The buffer must not be empty. */
  shift(): T {
    const head = this.#head;
    const item = this.#ring[head]!;
    this.#ring[head] = undefined;
    this.#head = (head + 1) & this.#mask;
    this.#size--;
    return item;
  }

  /** Removes the first occurrence of an item, if there is one; the time is linear. */
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

  /** Puts the first `count` items into another order; `random(n)` returns an integer from 0 to n - 1. */
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
    this.#ring = NOTHING;
    this.#mask = -1;
    this.#head = this.#size = 0;
  }

  #grow(): void {
    const old = this.#ring;
    const ring = emptyRing<T>(Math.max(FIRST, 2 * old.length));
    for (let i = 0; i < old.length; i++) ring[i] = old[(this.#head + i) & this.#mask];
    this.#ring = ring;
    this.#mask = ring.length - 1;
    this.#head = 0;
  }
}

/** The ring of each empty buffer. Nothing is written to it: a push into it grows first. */
const NOTHING: never[] = [];
/** The number of items before the buffer grows again: powers of two. */
const FIRST = 8;

/**
 * Returns an array of this length. `Array.from({ length })` takes ten times as long, and an array that grows from nothing has
 * room for 17 items in V8.
 */
function emptyRing<T>(capacity: number): (T | undefined)[] {
  if (capacity === FIRST) {
    return [undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined];
  }
  const ring: (T | undefined)[] = [];
  for (let i = 0; i < capacity; i++) ring.push(undefined);
  return ring;
}
