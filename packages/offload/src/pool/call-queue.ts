/** A ring buffer that grows and is open at both ends, because calls that were taken back go to the front. */
class Deque<T> {
  #ring: (T | undefined)[] = Array.from({ length: 16 });
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  #grow(): void {
    const { length } = this.#ring;
    const larger: (T | undefined)[] = Array.from({ length: length * 2 });
    for (let i = 0; i < length; i++) larger[i] = this.#ring[(this.#head + i) & (length - 1)];
    this.#ring = larger;
    this.#head = 0;
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#length++) & (this.#ring.length - 1)] = item;
  }

  unshift(item: T): void {
    if (this.#length === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = item;
    this.#length++;
  }

  peek(): T | undefined {
    return this.#ring[this.#head];
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#length--;
    return item;
  }
}

/** A call in a `CallQueue`. */
export interface QueuedCall {
  readonly priority: number;
  /** False once the call was taken or removed. */
  isWaiting: boolean;
  /** The number of higher calls that went before its level when the call was taken: its turn, if it is put back. */
  passed: number;
}

interface Level<T> {
  readonly priority: number;
  readonly calls: Deque<T>;
  /** The number of higher calls that went first since this level last had its turn. */
  passed: number;
}

/** A lower priority has a turn after this many calls of higher ones, so no call starves. */
const PATIENCE = 16;

/**
 * The calls that wait for a thread. Higher priorities go first, and calls of one priority keep their order. A lower
 * priority that was passed over 16 times has a turn.
 */
export class CallQueue<T extends QueuedCall> {
  /** The levels by falling priority; usually there is one. */
  readonly #levels: Level<T>[] = [];
  #size = 0;

  /** The number of waiting calls. */
  get size(): number {
    return this.#size;
  }

  #level(priority: number): Level<T> {
    const levels = this.#levels;
    let at = 0;
    while (at < levels.length && levels[at]!.priority > priority) at++;
    let level = levels[at];
    if (level?.priority !== priority) {
      level = { priority, calls: new Deque(), passed: 0 };
      levels.splice(at, 0, level);
    }
    return level;
  }

  push(call: T): void {
    this.#level(call.priority).calls.push(call);
    call.isWaiting = true;
    this.#size++;
  }

  /** Puts calls that were taken and did not run back to their place at the front. */
  putBack(calls: readonly T[]): void {
    for (let i = calls.length - 1; i >= 0; i--) {
      const call = calls[i]!;
      const level = this.#level(call.priority);
      level.calls.unshift(call);
      level.passed = Math.max(level.passed, call.passed);
      call.isWaiting = true;
      this.#size++;
    }
  }

  /** Removes a waiting call. Its place in the buffer is dropped when its turn comes. */
  remove(call: T): void {
    if (!call.isWaiting) return;
    call.isWaiting = false;
    this.#size--;
  }

  /** Returns the next call and leaves it in the queue. */
  peek(): T | undefined {
    return this.#turn()?.calls.peek();
  }

  take(): T | undefined {
    const level = this.#turn();
    if (level === undefined) return undefined;
    if (this.#levels.length > 1) {
      for (const other of this.#levels)
        if (other.priority < level.priority && other.calls.length > 0) other.passed++;
    }
    const call = level.calls.shift()!;
    call.passed = level.passed;
    level.passed = 0;
    call.isWaiting = false;
    this.#size--;
    return call;
  }

  /** Returns the level whose turn it is, with a waiting call at its front. */
  #turn(): Level<T> | undefined {
    const levels = this.#levels;
    let best: Level<T> | undefined;
    for (let i = 0; i < levels.length; i++) {
      const level = levels[i]!;
      while (level.calls.length > 0 && !level.calls.peek()!.isWaiting) level.calls.shift();
      if (level.calls.length === 0) {
        if (levels.length > 1) levels.splice(i--, 1);
        continue;
      }
      if (best === undefined || (level.passed >= PATIENCE && level.passed > best.passed)) best = level;
    }
    return best;
  }

  /** Takes out all calls and returns them. */
  clear(): T[] {
    const all: T[] = [];
    for (let call = this.take(); call !== undefined; call = this.take()) all.push(call);
    return all;
  }
}
