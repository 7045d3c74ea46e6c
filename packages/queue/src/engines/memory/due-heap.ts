/** A thing with the time at which it is due. */
interface Due<T> {
  readonly at: number;
  readonly item: T;
}

/**
 * Things by the time at which they are due, the first at the front: a binary heap. What it costs to add one and to take
 * one does not depend on how many are kept, apart from the logarithm.
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

  /** Takes the first thing that is due by `now`; undefined when none is. */
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
