import { strandStorage } from "../task/context.ts";
import type { Loop } from "../kernel/loop.ts";
import { turn } from "../kernel/turn.ts";
import { machine } from "../task/machine.ts";

/**
 * Runs `fn` at once as a callback of `loop`. Events of Node's sockets are not queued a second time; as in the
 * loop's own callbacks, the code finds its loop and no task.
 */
export function asCallback<A extends unknown[], R>(loop: Loop, fn: (...args: A) => R, ...args: A): R {
  const { loop: outerLoop } = turn;
  const { strand: outerStrand } = machine;
  turn.loop = loop;
  machine.strand = null;
  try {
    return fn(...args);
  } finally {
    turn.loop = outerLoop;
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
