import { describesItself } from "../describe.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { requireStrand } from "../task/current.ts";
import type { Future } from "../task/future.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { WaitList } from "./wait-list.ts";

/**
 * A flag that tasks wait for.
 *
 * ```ts
 * import { createTask, Event, run } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const ready = new Event();
 *   const task = createTask(async () => {
 *     await ready.wait();
 *     return "go";
 *   });
 *   ready.set();
 *   console.log(await task); // go
 * });
 * ```
 */
export class Event {
  #isSet = false;
  readonly #waiters = new WaitList<Future<unknown>>();

  /** Whether the flag is set. */
  isSet(): boolean {
    return this.#isSet;
  }

  /** Sets the flag and wakes all waiting tasks. */
  set(): void {
    if (this.#isSet) return;
    this.#isSet = true;
    for (const waiter of this.#waiters) if (!waiter.done()) waiter.setResult(true);
  }

  /** Clears the flag. */
  clear(): void {
    this.#isSet = false;
  }

  /** Waits until the flag is set. */
  wait(options: SignalOption = {}): Coroutine<true> {
    return routine("wait", () => this.#waiting(), options.signal);
  }

  *#waiting(): Generator<never, true, unknown> {
    if (this.#isSet) return true;
    const waiter = requireStrand("wait")._loop.createFuture();
    waiter._value = this;
    this.#waiters.add(waiter);
    try {
      yield* waiter;
      return true;
    } finally {
      this.#waiters.delete(waiter);
    }
  }

  /** @internal */
  _describeWait(): string {
    return `Event.wait() ${this.#describeState()}`;
  }

  /** @internal */
  _describe(): string {
    return `<Event ${this.#describeState()}>`;
  }

  #describeState(): string {
    return `${this.#isSet ? "set" : "unset"}, ${this.#waiters.size} waiting`;
  }
}

describesItself(Event);
