/** Calling a function for each item of a chunk. */
import { ownFrames } from "./own-frames.ts";
import { types } from "node:util";
import { CancelledError, createTask } from "@taskloom/loop";
import { encodeError } from "../boundary/error-transport.ts";
import type { EncodedError } from "../boundary/error-transport.ts";
import type { AnyFunction } from "./load.ts";
import { isPending } from "./pending.ts";
import type { Running } from "./running.ts";

type ChunkResult = [results: unknown[], error: EncodedError | null];

/** Calls a function for each item; what fails ends it, and goes with the results before it. */
export function eachPlain(
  fn: AnyFunction,
  items: ArrayLike<unknown>,
  call: Running,
): ChunkResult | Promise<ChunkResult> {
  const results: unknown[] = [];
  try {
    for (let i = 0; i < items.length; i++) {
      if ((i & 63) === 63 && call.isCancelled()) throw new CancelledError(call.cancelMessage());
      const result = fn(items[i]);
      if (isPending(result)) return eachTask(fn, items, i + 1, results, call, result);
      results.push(result);
    }
    return [results, null];
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    return [results, encodeError(error, ownFrames)];
  }
}

/** The same, one after the other, for a function whose results have to be waited for. */
export async function eachTask(
  fn: AnyFunction,
  items: ArrayLike<unknown>,
  from: number,
  results: unknown[],
  call: Running,
  first?: PromiseLike<unknown>,
): Promise<ChunkResult> {
  try {
    if (first !== undefined)
      results.push(await (types.isPromise(first) ? first : createTask(first as never)));
    for (let i = from; i < items.length; i++) {
      if (call.isCancelled()) throw new CancelledError(call.cancelMessage());
      results.push(await createTask((() => fn(items[i])) as () => Promise<unknown>));
    }
    return [results, null];
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    return [results, encodeError(error, ownFrames)];
  }
}
