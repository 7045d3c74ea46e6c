import type { Runnable } from "./runnable.ts";

/** An entry of the heap. Code that cancels an entry calls `_timerCancelled` of the loop. */
export interface Timer extends Runnable {
  /** @internal The order among equal deadlines, which run in the order they were set; 0 outside the heap. */
  _sequence: number;
  /** @internal */
  readonly _dead: boolean;
}

/** V8 keeps 64 bytes within the typed array. A larger one takes 3 µs, which a loop of few timers need not pay. */
const START = 8;
/** A loop without timers, such as that of most durable runs, has no array of its own. */
const NONE = new Float64Array(0);

/**
 * Timers by (deadline, sequence number): a binary heap whose keys are in a Float64Array, so that sifting
 * touches no objects unless deadlines are equal. Cancelled timers stay until they reach the top, or until the heap
 * is rebuilt because most of it is dead (asyncio's rule: more than 100 entries, more than half of them cancelled).
 */
export class TimerHeap {
  #keys: Float64Array = NONE;
  #timers: Timer[] = [];
  #sequence = 0;
  #cancelled = 0;

  get size(): number {
    return this.#timers.length;
  }

  /** The number of timers that are not cancelled. */
  get live(): number {
    return this.#timers.length - this.#cancelled;
  }

  /** The earliest deadline. The heap must not be empty. */
  get earliest(): number {
    return this.#keys[0]!;
  }

  add(when: number, timer: Timer): void {
    const timers = this.#timers;
    let index = timers.length;
    if (index === this.#keys.length) {
      const keys = new Float64Array(index === 0 ? START : index * 2);
      keys.set(this.#keys);
      this.#keys = keys;
    }
    const keys = this.#keys;
    timer._sequence = ++this.#sequence;
    timers.push(timer);
    // The new timer has the highest sequence number, so it never passes a timer with an equal deadline.
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const key = keys[parent]!;
      if (key <= when) break;
      keys[index] = key;
      timers[index] = timers[parent]!;
      index = parent;
    }
    keys[index] = when;
    timers[index] = timer;
  }

  /** Removes and returns the earliest timer. */
  shift(): Timer {
    const timers = this.#timers;
    const first = timers[0]!;
    first._sequence = 0;
    if (first._dead) this.#cancelled--;
    const last = timers.pop()!;
    const size = timers.length;
    if (size > 0) this.#sink(0, this.#keys[size]!, last, size);
    return first;
  }

  /** Notes that a timer in the heap was cancelled. */
  cancelled(): void {
    this.#cancelled++;
  }

  /** Removes dead timers: those at the top, or all of them if they are most of the heap. */
  sweep(): void {
    if (this.#cancelled === 0) return;
    const timers = this.#timers;
    if (timers.length > 100 && this.#cancelled / timers.length > 0.5) {
      let kept = 0;
      for (let i = 0; i < timers.length; i++) {
        const timer = timers[i]!;
        if (timer._dead) {
          timer._sequence = 0;
        } else {
          this.#keys[kept] = this.#keys[i]!;
          timers[kept++] = timer;
        }
      }
      timers.length = kept;
      this.#cancelled = 0;
      for (let i = (kept >> 1) - 1; i >= 0; i--) this.#sink(i, this.#keys[i]!, timers[i]!, kept);
    } else {
      while (timers.length > 0 && timers[0]!._dead) this.shift();
    }
  }

  clear(): void {
    this.#keys = NONE;
    this.#timers = [];
    this.#cancelled = 0;
  }

  #sink(start: number, when: number, timer: Timer, size: number): void {
    const keys = this.#keys;
    const timers = this.#timers;
    let index = start;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= size) break;
      const right = child + 1;
      if (right < size && this.#before(right, child)) child = right;
      const key = keys[child]!;
      if (key > when || (key === when && timers[child]!._sequence > timer._sequence)) break;
      keys[index] = key;
      timers[index] = timers[child]!;
      index = child;
    }
    keys[index] = when;
    timers[index] = timer;
  }

  #before(a: number, b: number): boolean {
    const x = this.#keys[a]!;
    const y = this.#keys[b]!;
    return x < y || (x === y && this.#timers[a]!._sequence < this.#timers[b]!._sequence);
  }
}
