/**
 * A priority queue, smallest first. Sifting is CPython's heapq (the hole goes down to a leaf, then the item
 * up), so equal items come out in the same order as there.
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

  /** Only when there is one. */
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
