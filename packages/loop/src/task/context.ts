import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { baseContext } from "../kernel/base-context.ts";
import type { Strand } from "./strand.ts";

/**
 * The strand that an `async` function belongs to. A native continuation keeps the context in which it began, so
 * one assignment at the call of the function is enough. Generators do not need it: `machine.strand` is the strand
 * that is stepped.
 */
export const strandStorage: AsyncLocalStorage<Strand> = new AsyncLocalStorage<Strand>();

interface Frame {
  readonly size: number;
  has(key: unknown): boolean;
}

/**
 * Node 24 keeps the stores of a context in one map, which an AsyncResource holds under a symbol. Reading it
 * costs 15 ns and shows whether any store is set. If the symbol or the map is not as expected (Node 22 keeps the
 * stores as symbols of the resource), the resource's symbols are counted instead.
 */
const FRAME_SYMBOL: symbol | undefined = strandStorage.run(null as unknown as Strand, () => {
  const probe = new AsyncResource("taskloom.probe") as unknown as Record<symbol, Frame | undefined>;
  return Object.getOwnPropertySymbols(probe).find((symbol) => {
    const frame = probe[symbol];
    return typeof frame === "object" && frame !== null && frame.size === 1 && frame.has(strandStorage);
  });
});
const PLAIN_SYMBOLS = Object.getOwnPropertySymbols(baseContext).length;

function carriesStores(resource: AsyncResource): boolean {
  if (FRAME_SYMBOL !== undefined) {
    const frame = (resource as unknown as Record<symbol, Frame | undefined>)[FRAME_SYMBOL];
    if (frame === undefined || frame === null) return false;
    return frame.size > 1 || !frame.has(strandStorage);
  }
  const symbols = Object.getOwnPropertySymbols(resource);
  const own = strandStorage.getStore() === undefined ? 0 : 1;
  return symbols.length > PLAIN_SYMBOLS + own;
}

/**
 * Returns the AsyncLocalStorage stores that are active now, or null if there is no store except the strand's. Most
 * programs have none, and then a task costs no resource and a step no scope.
 */
export function captureContext(): AsyncResource | null {
  // A given trigger id halves the cost. The id itself is not used.
  const resource = new AsyncResource("taskloom", 1);
  return carriesStores(resource) ? resource : null;
}

/** Returns the same for a new strand, so that the async functions that it calls find that strand. */
export function captureContextFor(strand: Strand): AsyncResource | null {
  const surroundings = captureContext();
  // A scope restores the context without a copy. `run` copies all stores, once for its beginning and once for its end.
  return surroundings === null ? null : surroundings.runInAsyncScope(resourceFor, null, strand);
}

function resourceFor(strand: Strand): AsyncResource {
  strandStorage.enterWith(strand);
  return new AsyncResource("taskloom.task");
}
