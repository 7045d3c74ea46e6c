import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { baseContext } from "../kernel/base-context.ts";
import type { Strand } from "./strand.ts";

/**
 * Which strand an `async` function belongs to. A native continuation keeps the context in which it began,
 * whoever resolves it, so setting this once, when the function is called, is enough. Generators need none
 * of it: `machine.strand` says which strand is being stepped.
 */
export const strandStorage: AsyncLocalStorage<Strand> = new AsyncLocalStorage<Strand>();

interface Frame {
  readonly size: number;
  has(key: unknown): boolean;
}

/**
 * Node 24 keeps the stores of a context in one map, which an AsyncResource holds under a symbol. Reading it
 * tells for 15 ns whether there is anything to carry; where the symbol or the map is not as expected
 * (Node 22 keeps stores as symbols of the resource), everything that exists is carried.
 */
const frameSymbol: symbol | undefined = strandStorage.run(null as unknown as Strand, () => {
  const probe = new AsyncResource("taskloom.probe") as unknown as Record<symbol, Frame | undefined>;
  return Object.getOwnPropertySymbols(probe).find((symbol) => {
    const frame = probe[symbol];
    return typeof frame === "object" && frame !== null && frame.size === 1 && frame.has(strandStorage);
  });
});
const plainSymbols = Object.getOwnPropertySymbols(baseContext).length;

function carriesStores(resource: AsyncResource): boolean {
  if (frameSymbol !== undefined) {
    const frame = (resource as unknown as Record<symbol, Frame | undefined>)[frameSymbol];
    if (frame === undefined || frame === null) return false;
    return frame.size > 1 || !frame.has(strandStorage);
  }
  const symbols = Object.getOwnPropertySymbols(resource);
  const own = strandStorage.getStore() === undefined ? 0 : 1;
  return symbols.length > plainSymbols + own;
}

/**
 * The AsyncLocalStorage stores that are active now, or null when there are none but our own: most programs
 * have none, and then a task costs no resource and a step no scope.
 */
export function captureContext(): AsyncResource | null {
  // With a trigger id given it costs half; who scheduled it is not what this is for.
  const resource = new AsyncResource("taskloom", 1);
  return carriesStores(resource) ? resource : null;
}

/** The same for a strand of its own: async functions that it calls will find it. */
export function captureContextFor(strand: Strand): AsyncResource | null {
  if (captureContext() === null) return null;
  return strandStorage.run(strand, () => new AsyncResource("taskloom.task"));
}
