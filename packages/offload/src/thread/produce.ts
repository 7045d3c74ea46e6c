/**
 * A stream's producing end: items go out one by one, each at once, while the window has room. (Collecting
 * items into messages would be quicker still, but an item would then wait for the next one.)
 */
import { CancelledError } from "@taskloom/loop";
import { NotThreadableError } from "../errors.ts";
import type { Slots } from "../boundary/slots.ts";
import type { Running } from "./running.ts";

/** Iterates what a function gave, and sends it. A generator that waits for nothing may block the thread. */
export function produce(slots: Slots, call: Running, source: unknown): unknown {
  if (typeof source === "object" && source !== null) {
    if (Symbol.asyncIterator in source)
      return produceAsync(slots, call, (source as AsyncIterable<unknown>)[Symbol.asyncIterator]());
    if (Symbol.iterator in source)
      return produceSync(slots, call, (source as Iterable<unknown>)[Symbol.iterator]());
  }
  throw new NotThreadableError(
    `${call.label} gave nothing to stream: expected a generator or another iterable, got ${typeof source}`,
  );
}

function produceSync(slots: Slots, call: Running, iterator: Iterator<unknown>): unknown {
  const { credits } = slots;
  const { slot } = call;
  while (true) {
    // The thread sleeps here until there is room, or it is told to stop; both notify this word.
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

/** As `for…of` leaves an iterator when its body throws: that error counts, and not one of the clean-up. */
function closeQuietly(iterator: Iterator<unknown>): void {
  try {
    iterator.return?.();
  } catch {
    // The item that could not cross is the reason to be told.
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
      // As `for await` does: the clean-up is waited for, and its own error does not count.
      await iterator.return?.().catch(() => {});
      throw error;
    }
    Atomics.sub(credits, slot, 1);
  }
}
