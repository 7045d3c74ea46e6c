/** An item with the time at which it is due. */
interface Due<T> {
  readonly at: number;
  readonly item: T;
}

/**
 * Items by the time at which they are due, in a binary heap. The cost of adding and taking an item grows with the logarithm
 * of their number.
 */
export class DueHeap<T> {
  readonly #heap: Due<T>[] = [];

  push(at: number, item: T): void {
    const heap = this.#heap;
    let place = heap.push({ at, item }) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (this.#at(above) <= at) break;
      this.#swap(place, above);
      place = above;
    }
  }

  /** Takes the first item that is due by `now`; undefined if none is. */
  take(now: number): Due<T> | undefined {
    const heap = this.#heap;
    const first = heap[0];
    if (first === undefined || first.at > now) return undefined;
    const last = heap.pop()!;
    if (heap.length > 0) heap[0] = last;
    for (let place = 0; ;) {
      const below = 2 * place + 1;
      const smaller = this.#at(below + 1) < this.#at(below) ? below + 1 : below;
      if (this.#at(smaller) >= this.#at(place)) return first;
      this.#swap(place, smaller);
      place = smaller;
    }
  }

  #at(place: number): number {
    return this.#heap[place]?.at ?? Number.POSITIVE_INFINITY;
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    [heap[a], heap[b]] = [heap[b]!, heap[a]!];
  }
}
