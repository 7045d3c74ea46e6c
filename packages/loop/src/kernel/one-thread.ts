/**
 * What is sent to another thread is cloned, property by property in the order in which they were made, and
 * a symbol cannot be: the DataCloneError names it. So the first property of a loop says why it, and every
 * future and task of it, cannot be sent.
 */
export abstract class OneThread {
  /** @internal */
  readonly thread: symbol = oneThread;
}

// V8 shortens a longer text in the middle.
const oneThread = Symbol(
  "a loop and its tasks stay on their thread: send a result, or use @taskloom/offload; this",
);
