/** An entry of a TaskList: `Task` is one. */
interface Linked<T> {
  /** @internal */
  _previous: T | null;
  /** @internal */
  _next: T | null;
}

/** The unfinished tasks of a loop, in the order they were made: a list through the tasks themselves. */
export class TaskList<T extends Linked<T>> {
  #first: T | null = null;
  #last: T | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(task: T): void {
    const last = this.#last;
    task._previous = last;
    if (last === null) this.#first = task;
    else last._next = task;
    this.#last = task;
    this.#size++;
  }

  delete(task: T): void {
    const previous = task._previous;
    const next = task._next;
    if (previous === null) this.#first = next;
    else previous._next = next;
    if (next === null) this.#last = previous;
    else next._previous = previous;
    task._previous = task._next = null;
    this.#size--;
  }

  *[Symbol.iterator](): Generator<T, void, unknown> {
    let task = this.#first;
    while (task !== null) {
      const next = task._next;
      yield task;
      task = next;
    }
  }
}
