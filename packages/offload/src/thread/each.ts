/** Calls of a function for each item of a chunk. */
import { types } from "node:util";
import { CancelledError } from "@taskloom/loop";
import type { Callable } from "../boundary/callable.ts";
import { encodeError } from "../boundary/error-transport.ts";
import { isPending, startTask } from "../boundary/start-task.ts";
import type { ChunkResult } from "../boundary/wire.ts";
import { ownFrames } from "./own-frames.ts";
import type { Running } from "./running.ts";

/** Calls a plain function for each item. A failure ends the chunk, and travels with the results before it. */
export function eachPlain(
  fn: Callable,
  items: ArrayLike<unknown>,
  call: Running,
): ChunkResult | Promise<ChunkResult> {
  const results: unknown[] = [];
  try {
    for (let i = 0; i < items.length; i++) {
      if ((i & 63) === 63 && call.isCancelled()) throw new CancelledError(call.cancelMessage());
      const result = fn(items[i]);
      if (isPending(result)) return eachTask(fn, items, call, { from: i + 1, results, first: result });
      results.push(result);
    }
    return [results, null];
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    return [results, encodeError(error, ownFrames)];
  }
}

/** The state of a chunk of which `eachPlain` has called the first functions. */
interface Begun {
  /** The index of the next item. */
  readonly from: number;
  readonly results: unknown[];
  /** The pending result of the item before `from`. */
  readonly first: PromiseLike<unknown>;
}

/** Does the same, one item after the other, for a function whose results have to be awaited. */
export async function eachTask(
  fn: Callable,
  items: ArrayLike<unknown>,
  call: Running,
  begun?: Begun,
): Promise<ChunkResult> {
  const results = begun?.results ?? [];
  try {
    if (begun !== undefined)
      results.push(await (types.isPromise(begun.first) ? begun.first : startTask(begun.first)));
    for (let i = begun?.from ?? 0; i < items.length; i++) {
      if (call.isCancelled()) throw new CancelledError(call.cancelMessage());
      results.push(await startTask(() => fn(items[i])));
    }
    return [results, null];
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    return [results, encodeError(error, ownFrames)];
  }
}
