import { isMarkedAsUntransferable } from "node:worker_threads";
import { TransferError } from "../errors.ts";

const lists = new WeakMap<object, readonly object[]>();
let used = false;

/**
 * Marks what is moved and not copied when `value` crosses to a thread or back. What was moved can no longer
 * be used on the side it came from.
 *
 * @param value an argument, a result, or anything inside one
 * @param list the buffers and ports to move; by default the buffer behind `value`
 * @throws TransferError (`UNTRANSFERABLE`) for a Buffer from the shared pool, and for what cannot be moved
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
        "a SharedArrayBuffer is shared by both sides and is not moved; pass it as it is",
      );
    if (isMarkedAsUntransferable(target))
      throw new TransferError(
        "this Buffer is a window on the pool that Node's small Buffers share, so it cannot be moved; " +
          "copy it with new Uint8Array(buffer), or make it with Buffer.alloc(size)",
      );
    return target;
  });
  // Two views of one buffer move it once.
  lists.set(value, [...new Set(moved)]);
  used = true;
  return value;
}

/** What `transfer` was told about this object. */
export function transferListOf(value: object): readonly object[] | undefined {
  return used ? lists.get(value) : undefined;
}
