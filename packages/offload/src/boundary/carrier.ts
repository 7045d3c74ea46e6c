/**
 * Stores whose value is more than data: each crosses to a thread in a form of its own, and its stand-in there can
 * say something back to it, in order with all else that the call says.
 *
 * Like that of `propagate`, the registry hangs off `globalThis`, so that two copies of this module are one registry.
 */
import type { AsyncLocalStorage } from "node:async_hooks";

/** How one store's value crosses. */
export interface Carrier<T> {
  /** What travels in its place; structured clone has to take it. */
  send(value: T): unknown;
  /** What the functions of the call see. `tell` says something to `hear`, and throws when the call has ended. */
  receive(sent: unknown, tell: (message: unknown) => void): T;
  /** Takes what was told, where the call was made. */
  hear(value: T, message: unknown): void;
}

interface Carried {
  readonly store: AsyncLocalStorage<unknown>;
  readonly carrier: Carrier<unknown>;
}

const key = Symbol.for("taskloom.carried");
const scope = globalThis as unknown as { [key]?: Map<string, Carried> };
const registry: Map<string, Carried> = (scope[key] ??= new Map());

/** Makes a store's value travel with every call to a thread; both sides register it under the same name. */
export function carryToThreads<T>(store: AsyncLocalStorage<T>, name: string, carrier: Carrier<T>): void {
  registry.set(name, { store, carrier });
}

/** What goes with one call: by the name of its store, what travels, and who hears what comes back. */
export interface Luggage {
  readonly sent: Readonly<Record<string, unknown>>;
  hear(name: string, message: unknown): void;
}

/** What goes with a call that is made now; undefined when there is nothing. */
export function packLuggage(): Luggage | undefined {
  let values: Map<string, unknown> | undefined;
  for (const [name, { store }] of registry) {
    const value = store.getStore();
    if (value !== undefined) (values ??= new Map()).set(name, value);
  }
  if (values === undefined) return undefined;
  const owners = values;
  return {
    sent: Object.fromEntries(
      [...owners].map(([name, value]) => [name, registry.get(name)?.carrier.send(value)]),
    ),
    hear: (name, message) => registry.get(name)?.carrier.hear(owners.get(name), message),
  };
}

/** On the thread: runs `fn` with what came in place. */
export function withLuggage<R>(
  sent: Luggage["sent"],
  tell: (name: string, message: unknown) => void,
  fn: () => R,
): R {
  let run = fn;
  for (const [name, each] of Object.entries(sent)) {
    const carried = registry.get(name);
    if (carried === undefined) continue;
    const value = carried.carrier.receive(each, (message) => tell(name, message));
    const inner = run;
    run = () => carried.store.run(value, inner);
  }
  return run();
}
