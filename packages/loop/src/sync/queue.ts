import { describe, describesItself } from "../describe.ts";
import { ArgumentError, QueueEmpty, QueueFull, QueueShutDown, UsageError } from "../errors.ts";
import { checkStepped, machine, probed, returned, SUSPENDED } from "../task/machine.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { requireStrand } from "../task/current.ts";
import type { Future } from "../task/future.ts";
import { PENDING } from "../task/states.ts";
import { Operation } from "../task/operation.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { Event } from "./event.ts";
import { BinaryHeap } from "./binary-heap.ts";
import { RingBuffer } from "../kernel/ring-buffer.ts";

/** The storage of a queue's items. */
export interface Store<T> {
  readonly size: number;
  push(item: T): void;
  shift(): T;
}

/**
 * A queue between tasks. With a `maxsize` above 0, `put` waits while the queue is full. Waiters are served
 * first come, first served. If a waiter is cancelled after it was woken, it wakes the next waiter.
 *
 * ```ts
 * import { createTask, Queue, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const queue = new Queue<string>();
 *   const consumer = createTask(() => queue.get());
 *   await queue.put("hello");
 *   console.log(await consumer); // hello
 * });
 * ```
 */
export class Queue<T> {
  /** The maximal number of items; 0 or less means no limit. */
  readonly maxsize: number;
  readonly #items: Store<T>;
  readonly #getters = new RingBuffer<Future<undefined>>();
  readonly #putters = new RingBuffer<Future<undefined>>();
  readonly #finished = new Event();
  #unfinished = 0;
  #isShutDown = false;

  constructor(maxsize = 0, store: Store<T> = new RingBuffer<T>()) {
    if (typeof maxsize !== "number" || Number.isNaN(maxsize)) {
      throw new ArgumentError(`Expected \`maxsize\` to be a number, got ${describe(maxsize)}`);
    }
    this.maxsize = maxsize;
    this.#items = store;
    this.#finished.set();
  }

  /** The number of items in the queue. */
  get size(): number {
    return this.#items.size;
  }

  /** Returns the number of items in the queue. The name is asyncio's. */
  qsize(): number {
    return this.#items.size;
  }

  /** Whether the queue has no items. */
  empty(): boolean {
    return this.#items.size === 0;
  }

  /** Whether the queue has `maxsize` items. */
  full(): boolean {
    return this.maxsize > 0 && this.#items.size >= this.maxsize;
  }

  /**
   * Adds an item, and waits first while the queue is full.
   *
   * @throws {@link QueueShutDown} if the queue has been shut down.
   */
  put(item: T, options?: SignalOption): Operation<void> {
    const put = new Put<T>(this, this.#putters, item);
    return options?.signal === undefined ? put : routine("put", () => delegate(put), options.signal);
  }

  /**
   * Adds an item at once.
   *
   * @throws {@link QueueShutDown} if the queue has been shut down.
   * @throws {@link QueueFull} if the queue is full.
   */
  putNowait(item: T): void {
    if (this.#isShutDown) throw new QueueShutDown();
    if (this.full()) throw new QueueFull();
    this.#items.push(item);
    this.#unfinished++;
    this.#finished.clear();
    wakeNext(this.#getters);
  }

  /**
   * Removes and returns the next item, and waits first while the queue is empty.
   *
   * @throws {@link QueueShutDown} if the queue has been shut down and is empty.
   */
  get(options?: SignalOption): Operation<T> {
    const get = new Get<T>(this, this.#getters);
    return options?.signal === undefined ? get : routine("get", () => delegate(get), options.signal);
  }

  /**
   * Removes and returns the next item at once.
   *
   * @throws {@link QueueShutDown} if the queue has been shut down and is empty.
   * @throws {@link QueueEmpty} if the queue is empty.
   */
  getNowait(): T {
    if (this.#items.size === 0) {
      if (this.#isShutDown) throw new QueueShutDown();
      throw new QueueEmpty();
    }
    const item = this.#items.shift();
    wakeNext(this.#putters);
    return item;
  }

  /**
   * Marks one item that was taken out as processed.
   *
   * @throws {@link UsageError} if it is called more often than items were put in.
   */
  taskDone(): void {
    if (this.#unfinished <= 0) {
      throw new UsageError(
        "TASK_DONE_TOO_OFTEN",
        "taskDone() called too many times: once per item taken out",
      );
    }
    if (--this.#unfinished === 0) this.#finished.set();
  }

  /** Waits until `taskDone` was called for every item that was put in. */
  join(options: SignalOption = {}): Coroutine<void> {
    return routine("join", () => this.#joining(), options.signal);
  }

  *#joining(): Generator<never, void, unknown> {
    if (this.#unfinished > 0) yield* this.#finished.wait();
  }

  /**
   * Shuts the queue down. `put` throws QueueShutDown from now on, and `get` throws it when the queue is
   * empty. With `immediate`, the queue is emptied at once, and its items count as processed.
   */
  shutdown(immediate = false): void {
    this.#isShutDown = true;
    if (immediate) {
      while (this.#items.size > 0) {
        this.#items.shift();
        if (this.#unfinished > 0) this.#unfinished--;
      }
      if (this.#unfinished === 0) this.#finished.set();
    }
    wakeAll(this.#getters);
    wakeAll(this.#putters);
  }

  /** @internal */
  get _isShutDown(): boolean {
    return this.#isShutDown;
  }

  /** @internal */
  _describe(): string {
    const room = this.maxsize > 0 ? ` of ${this.maxsize}` : "";
    const waiting = `${this.#getters.size} getting, ${this.#putters.size} putting`;
    return `<${this.constructor.name} ${this.size}${room} items, ${waiting}>`;
  }
}

describesItself(Queue);

function wakeNext(waiters: RingBuffer<Future<undefined>>): void {
  while (waiters.size > 0) {
    const waiter = waiters.shift();
    if (waiter._state === PENDING) {
      waiter.setResult(undefined);
      return;
    }
  }
}

function wakeAll(waiters: RingBuffer<Future<undefined>>): void {
  while (waiters.size > 0) {
    const waiter = waiters.shift();
    if (waiter._state === PENDING) waiter.setResult(undefined);
  }
}

function* delegate<R>(operation: Operation<R>): Generator<never, R, unknown> {
  return yield* operation;
}

/**
 * The base of `get` and `put`. Both are hand-written iterators and not generators, because they are the
 * hottest operations and rarely suspend. An operation checks the queue, waits on `#waiter` while it is
 * blocked, and checks again when it is woken.
 */
abstract class QueueOperation<T, R> extends Operation<R> {
  protected readonly queue: Queue<T>;
  readonly #waiters: RingBuffer<Future<undefined>>;
  #waiter: Future<undefined> | null = null;

  constructor(queue: Queue<T>, waiters: RingBuffer<Future<undefined>>) {
    super();
    this.queue = queue;
    this.#waiters = waiters;
  }

  /** Whether the operation has to wait. */
  protected abstract blocked(): boolean;
  protected abstract perform(): R;

  next(): IteratorResult<never, R> {
    if (machine.probe !== null) return probed(SUSPENDED) as never;
    checkStepped();
    this.#waiter = null;
    if (!this.blocked()) return returned(this.perform());
    if (this.queue._isShutDown) throw new QueueShutDown();
    const waiter = requireStrand("queue")._loop.createFuture<undefined>();
    waiter._value = this;
    this.#waiter = waiter;
    this.#waiters.push(waiter);
    machine.awaited = waiter;
    return SUSPENDED as never;
  }

  throw(error: unknown): IteratorResult<never, R> {
    const waiter = this.#waiter;
    if (waiter !== null) {
      this.#waiter = null;
      waiter.cancel(); // in case the waiter is not done yet
      this.#waiters.delete(waiter);
      // The waiter was woken and cannot use the item or the room: the next waiter is woken instead.
      if (!this.blocked() && !waiter.cancelled()) wakeNext(this.#waiters);
    }
    throw error;
  }
}

class Get<T> extends QueueOperation<T, T> {
  protected blocked(): boolean {
    return this.queue.empty();
  }
  protected perform(): T {
    return this.queue.getNowait();
  }
  _describe(): string {
    return "<queue.get()>";
  }
  _describeWait(): string {
    return `queue.get() on ${describe(this.queue)}`;
  }
}

class Put<T> extends QueueOperation<T, void> {
  readonly #item: T;
  constructor(queue: Queue<T>, waiters: RingBuffer<Future<undefined>>, item: T) {
    super(queue, waiters);
    this.#item = item;
  }
  protected blocked(): boolean {
    return this.queue.full();
  }
  protected perform(): void {
    this.queue.putNowait(this.#item);
  }
  _describe(): string {
    return "<queue.put()>";
  }
  _describeWait(): string {
    return `queue.put() on ${describe(this.queue)}`;
  }
}

/**
 * Orders two items of a PriorityQueue. The result is negative if the first item comes first.
 *
 * Without a `Compare`, items are compared with `<`, and arrays element by element, as Python compares tuples.
 */
export type Compare<T> = (a: T, b: T) => number;

/**
 * A queue whose `get` returns the smallest item first.
 *
 * ```ts
 * import { PriorityQueue } from "@taskloom/loop";
 *
 * const queue = new PriorityQueue<[number, string]>();
 * queue.putNowait([2, "later"]);
 * queue.putNowait([1, "first"]);
 * console.log(queue.getNowait()[1]); // first
 * ```
 */
export class PriorityQueue<T> extends Queue<T> {
  constructor(maxsize = 0, compare: Compare<T> = compareValues) {
    super(maxsize, new BinaryHeap<T>(compare));
  }
}

/**
 * A queue whose `get` returns the latest item first.
 *
 * ```ts
 * import { LifoQueue } from "@taskloom/loop";
 *
 * const stack = new LifoQueue<string>();
 * stack.putNowait("first");
 * stack.putNowait("second");
 * console.log(stack.getNowait()); // second
 * ```
 */
export class LifoQueue<T> extends Queue<T> {
  constructor(maxsize = 0) {
    super(maxsize, new Stack<T>());
  }
}

class Stack<T> implements Store<T> {
  readonly #items: T[] = [];
  get size(): number {
    return this.#items.length;
  }
  push(item: T): void {
    this.#items.push(item);
  }
  shift(): T {
    return this.#items.pop() as T;
  }
}

function compareValues(a: unknown, b: unknown): number {
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < a.length && i < b.length; i++) {
      const order = compareValues(a[i], b[i]);
      if (order !== 0) return order;
    }
    return a.length - b.length;
  }
  const x = a as number;
  const y = b as number;
  return x < y ? -1 : x > y ? 1 : 0;
}
