import { strandStorage } from "../kernel/context.ts";
import type { EventLoop } from "../kernel/event-loop.ts";
import { machine } from "../kernel/machine.ts";

/**
 * Runs `fn` at once as a callback of `loop`. Events of Node's sockets are not queued a second time; as in the
 * loop's own callbacks, the code finds its loop and no task.
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
 * Creates a Node object that outlives this call. Node runs the object's later events in the context in which
 * the object was made. Without this function, its callbacks would run as parts of the task that created it.
 * The program's own stores are kept.
 */
export function outsideTask<T>(make: () => T): T {
  return strandStorage.getStore() === undefined ? make() : strandStorage.run(undefined as never, make);
}
