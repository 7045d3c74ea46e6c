import { UsageError } from "../errors.ts";

/**
 * What is sent to another thread is cloned, and its own properties are read for that, in the order in which
 * they were made. The first one of a loop says why it, and every future and task of it, cannot be sent.
 */
export abstract class OneThread {
  protected constructor() {
    Object.defineProperty(this, "thread", onlyHere);
  }
}

const onlyHere: PropertyDescriptor = {
  enumerable: true,
  get(): never {
    throw new UsageError(
      "WRONG_THREAD",
      "an event loop, its futures and its tasks belong to the thread that made them and cannot be sent to another: " +
        "send a result, or run a function there with @taskloom/offload",
    );
  },
};
