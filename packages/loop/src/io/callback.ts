import { strandStorage } from "../kernel/context.ts";
import type { EventLoop } from "../kernel/event-loop.ts";
import { machine } from "../kernel/machine.ts";

/**
 * Runs `fn` as a callback of `loop`, at once: what Node's sockets report is not queued a second time, but the
 * code that it reaches finds its loop, and no task, as in a callback of the loop's own.
 */
export function asCallback<A extends unknown[], R>(loop: EventLoop, fn: (...args: A) => R, ...args: A): R {
  const { loop: outerLoop, strand: outerStrand } = machine;
  machine.loop = loop;
  machine.strand = null;
  try {
    return fn(...args);
  } finally {
    machine.loop = outerLoop;
    machine.strand = outerStrand;
  }
}

/**
 * Makes a Node object that outlives this call. What it emits later runs in the context in which it was made:
 * that must not be the task's which happens to be making it, or its callbacks would take themselves for parts
 * of that task. Stores of the program stay.
 */
export function outsideTask<T>(make: () => T): T {
  return strandStorage.getStore() === undefined ? make() : strandStorage.run(undefined as never, make);
}
