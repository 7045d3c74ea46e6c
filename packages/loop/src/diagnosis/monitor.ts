import type { Loop, LoopMonitor } from "../kernel/loop.ts";
import type { Runnable } from "../kernel/runnable.ts";
import { ENDED, FULFILLED } from "../task/states.ts";
import type { Strand } from "../task/strand.ts";
import { describe } from "../describe.ts";
import { isOwnFrame } from "../own-frames.ts";
import { strandStack } from "../task/stack.ts";

/** The number of suspensions after which a delivered cancellation counts as swallowed. Cleaning up takes fewer. */
const CLEAN_UP_SUSPENSIONS = 3;

/**
 * Debug mode. It times every step and callback, watches for swallowed cancellations, and remembers where futures and
 * tasks were made. A loop has a Monitor only in debug mode.
 */
export class Monitor implements LoopMonitor {
  readonly #loop: Loop;
  readonly #sources = new WeakMap<object, string>();
  readonly #delivered = new WeakMap<Strand, { suspensions: number; where: string[] }>();
  #settled: string[] = [];
  #leftAt = 0;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  /** Remembers where a handle, a future or a task of the loop was made. */
  made(thing: object): void {
    const stack = new Error("made here").stack ?? "";
    const lines = stack.split("\n").slice(2);
    const own = lines.findIndex((line) => !isOwnFrame(line));
    this.#sources.set(
      thing,
      `created at (most recent call first):\n${lines.slice(Math.max(own, 0)).join("\n")}`,
    );
  }

  sourceOf(thing: object): string | undefined {
    return this.#sources.get(thing);
  }

  run(item: Runnable): void {
    const began = performance.now();
    const name = describe(item);
    item._run();
    const took = performance.now() - began;
    if (took >= this.#loop.slowCallbackDuration) this.#slow(name, item, took);
  }

  #slow(name: string, item: Runnable, took: number): void {
    const after = describe(item);
    const source = this.#sources.get(item);
    console.warn(
      `Executing ${name} took ${took.toFixed(0)} ms and held the loop meanwhile` +
        (after === name ? "" : `; now it is ${after}`) +
        (source === undefined ? "" : `\n${source}`),
    );
  }

  /** Notes that an async function continues after an await that the loop has settled. */
  settled(strand: Strand | null): void {
    if (this.#settled.length < 10)
      this.#settled.push(strand === null ? "code outside any task" : describe(strand._task));
  }

  turnEnds(): void {
    this.#leftAt = performance.now();
  }

  /** Reports the microtasks of the last turn if they were slow. They have run now. */
  turnBegins(isTick: boolean): void {
    const settled = this.#settled;
    if (settled.length === 0) return;
    this.#settled = [];
    const took = performance.now() - this.#leftAt;
    if (isTick && took >= this.#loop.slowCallbackDuration) {
      console.warn(
        `Async code took ${took.toFixed(0)} ms and held the loop meanwhile, after an await in ${settled.join(", ")}`,
      );
    }
  }

  /** Notes that a cancellation was thrown into a strand. */
  cancelDelivered(strand: Strand): void {
    this.#delivered.set(strand, { suspensions: 0, where: [] });
  }

  /** Notes that a strand suspended or ended. */
  stepped(strand: Strand): void {
    const delivered = this.#delivered.get(strand);
    if (delivered === undefined) return;
    if (strand._phase === ENDED) {
      this.#delivered.delete(strand);
      const task = strand._task;
      if (task._state === FULFILLED && task._cancels > 0)
        this.#swallowed(strand, "returned", delivered.where);
    } else if (strand._requests() === 0) {
      this.#delivered.delete(strand);
    } else {
      if (delivered.suspensions === 0) delivered.where = strandStack(strand);
      if (++delivered.suspensions === CLEAN_UP_SUSPENSIONS) {
        this.#delivered.delete(strand);
        this.#swallowed(strand, `suspended ${CLEAN_UP_SUSPENSIONS} times since`, delivered.where);
      }
    }
  }

  #swallowed(strand: Strand, what: string, where: string[]): void {
    console.warn(
      `${describe(strand._task)} was cancelled and has ${what}: let a CancelledError pass, ` +
        "or call uncancel() if the task means to go on" +
        (where.length === 0 ? "" : `\nafter the cancellation it stood\n    ${where.join("\n    ")}`),
    );
  }
}
