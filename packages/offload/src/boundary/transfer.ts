import { isMarkedAsUntransferable } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { TransferError } from "../errors.ts";

/** A buffer, a port or another object that a message can move. */
export type Movable = NonNullable<Parameters<MessagePort["postMessage"]>[1]>[number];

const lists = new WeakMap<object, readonly Movable[]>();
let isUsed = false;

/**
 * Marks the buffers and ports that are moved, and not copied, when `value` crosses to a thread or back. A moved
 * object can no longer be used on the side that it came from.
 *
 * @param value an argument, a result, or anything inside one
 * @param list the buffers and ports to move; by default the buffer behind `value`
 * @throws {@link TransferError} (`UNTRANSFERABLE`) for a Buffer from the shared pool and for other objects that
 * cannot be moved
 *
 * ```ts
 * import { toThread, transfer } from "@taskloom/offload";
 *
 * const pixels = new Float64Array(1_000);
 * const sum = await toThread(
 *   (data: Float64Array) => data.reduce((a, b) => a + b, 0),
 *   transfer(pixels, [pixels.buffer]),
 * );
 * ```
 */
export function transfer<T extends object>(value: T, list: readonly object[] = [value]): T {
  const moved = list.map((item) => {
    const target = ArrayBuffer.isView(item) ? item.buffer : item;
    if (target instanceof SharedArrayBuffer)
      throw new TransferError(
        "A SharedArrayBuffer is shared by both sides and is not moved; pass it as it is",
      );
    if (isMarkedAsUntransferable(target))
      throw new TransferError(
        "This Buffer is a window on the pool that Node's small Buffers share, so it cannot be moved; " +
          "copy it with new Uint8Array(buffer), or make it with Buffer.alloc(size)",
      );
    // The platform checks whether an object can be moved when the message is posted.
    return target as Movable;
  });
  // Two views of one buffer move it once.
  lists.set(value, [...new Set(moved)]);
  isUsed = true;
  return value;
}

/** Returns the list that `transfer` stored for an object. */
export function transferListOf(value: object): readonly Movable[] | undefined {
  return isUsed ? lists.get(value) : undefined;
}
