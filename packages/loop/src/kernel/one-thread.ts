/**
 * structuredClone names the first property that it cannot clone. A loop's first property is therefore a symbol whose
 * description says why loops, futures and tasks cannot cross threads.
 */
export abstract class OneThread {
  /** @internal */
  readonly thread: symbol = ONE_THREAD;
}

// V8 cuts out the middle of a longer text.
const ONE_THREAD = Symbol(
  "a loop and its tasks stay on their thread: send a result, or use @taskloom/offload; this",
);
