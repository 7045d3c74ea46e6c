/**
 * The producing end of a stream. Each item is sent at once, one by one, while the window has room. Messages of several
 * items would be quicker, but an item would then wait for the next one.
 */
import { CancelledError } from "@taskloom/loop";
import type { Slots } from "../boundary/slots.ts";
import { NotThreadableError } from "../errors.ts";
import type { Running } from "./running.ts";

/** Iterates the result of a function, and sends its items. A synchronous generator can block the thread. */
export function produce(slots: Slots, call: Running, source: unknown): unknown {
  if (isAsyncIterable(source)) return produceAsync(slots, call, source[Symbol.asyncIterator]());
  if (isIterable(source)) return produceSync(slots, call, source[Symbol.iterator]());
  throw new NotThreadableError(
    `${call.label} gave nothing to stream: expected a generator or another iterable, got ${typeof source}`,
  );
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}

function produceSync(slots: Slots, call: Running, iterator: Iterator<unknown>): unknown {
  const { credits } = slots;
  const { slot } = call;
  while (true) {
    // The thread sleeps here until there is room, or until the stream has to stop. Both notify this word.
    while (Atomics.load(credits, slot) <= 0 && !call.isStopped()) Atomics.wait(credits, slot, 0);
    if (call.isCancelled()) {
      const error = new CancelledError(call.cancelMessage());
      if (iterator.throw) return iterator.throw(error).value;
      throw error;
    }
    if (call.isStopped()) return iterator.return?.().value;
    const next = iterator.next();
    if (next.done) return next.value;
    try {
      call.sendItem(next.value);
    } catch (error) {
      closeQuietly(iterator);
      throw error;
    }
    Atomics.sub(credits, slot, 1);
  }
}

/** Closes an iterator as `for…of` does when its body throws: an error of the clean-up is dropped. */
function closeQuietly(iterator: Iterator<unknown>): void {
  try {
    iterator.return?.();
  } catch {
    // The stream fails with the error of the item that could not cross.
  }
}

async function produceAsync(slots: Slots, call: Running, iterator: AsyncIterator<unknown>): Promise<unknown> {
  const { credits } = slots;
  const { slot } = call;
  while (true) {
    while (Atomics.load(credits, slot) <= 0 && !call.isStopped()) {
      await new Promise<void>((resolve) => {
        call.onCredit = resolve;
      });
    }
    if (call.isStopped()) {
      await iterator.return?.();
      if (call.isCancelled()) throw new CancelledError(call.cancelMessage());
      return undefined;
    }
    const next = await iterator.next();
    if (next.done) return next.value;
    try {
      call.sendItem(next.value);
    } catch (error) {
      // `for await` does the same: it awaits the clean-up and drops an error of the clean-up.
      await iterator.return?.().catch(() => {});
      throw error;
    }
    Atomics.sub(credits, slot, 1);
  }
}
