/**
 * A priority queue, smallest item first. It sifts as CPython's heapq does (the hole moves down to a leaf,
 * then the item moves up), so equal items come out in the same order as in Python.
 */
export class BinaryHeap<T> {
  readonly #items: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#rise(0, this.#items.length - 1);
  }

  /** Removes and returns the smallest item. The heap must not be empty. */
  shift(): T {
    const items = this.#items;
    const last = items.pop() as T;
    if (items.length === 0) return last;
    const first = items[0] as T;
    items[0] = last;
    let index = 0;
    let child = 1;
    while (child < items.length) {
      const right = child + 1;
      if (right < items.length && !(this.#compare(items[child] as T, items[right] as T) < 0)) child = right;
      items[index] = items[child] as T;
      index = child;
      child = 2 * index + 1;
    }
    items[index] = last;
    this.#rise(0, index);
    return first;
  }

  #rise(top: number, start: number): void {
    const items = this.#items;
    const item = items[start] as T;
    let index = start;
    while (index > top) {
      const parent = (index - 1) >> 1;
      const above = items[parent] as T;
      if (!(this.#compare(item, above) < 0)) break;
      items[index] = above;
      index = parent;
    }
    items[index] = item;
  }
}
