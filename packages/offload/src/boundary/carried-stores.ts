/**
 * Stores whose value is more than data. The value crosses in a form of its own. On the thread a stand-in takes its
 * place, which can send messages back to the value, in order with everything else that the call sends.
 */
import type { AsyncLocalStorage } from "node:async_hooks";
import { sharedState } from "./shared-state.ts";

/** Carries the value of one store to a thread. The names of its methods are those of OpenTelemetry's propagators. */
export interface StorePropagator<T> {
  /** Returns the data that travels in place of the value. Structured clone has to accept it. */
  inject(value: T): unknown;
  /**
   * Returns the stand-in that the functions of the call see. `send` sends a message to `onMessage`, and throws
   * after the call has ended.
   */
  extract(carried: unknown, send: (message: unknown) => void): T;
  /** Receives the messages of the stand-in, on the side that made the call. */
  onMessage(value: T, message: unknown): void;
}

interface CarriedStore {
  readonly store: AsyncLocalStorage<unknown>;
  readonly propagator: StorePropagator<unknown>;
}

const registry: Map<string, CarriedStore> = sharedState(
  "taskloom.carried",
  () => new Map<string, CarriedStore>(),
);

/** Makes a store's value travel with every call to a thread. Both sides register the store under the same name. */
export function carryToThreads<T>(
  store: AsyncLocalStorage<T>,
  name: string,
  propagator: StorePropagator<T>,
): void {
  registry.set(name, { store, propagator });
}

/** The data of the carried stores of one call, by the name of the store. */
export type CarriedData = Readonly<Record<string, unknown>>;

/** The carried stores of one call, on the side that made the call. */
export interface CarriedValues {
  readonly data: CarriedData;
  onMessage(name: string, message: unknown): void;
}

/** Returns the carried values of a call that is made now, or undefined if there are none. */
export function captureCarried(): CarriedValues | undefined {
  let values: Map<string, unknown> | undefined;
  for (const [name, { store }] of registry) {
    const value = store.getStore();
    if (value !== undefined) (values ??= new Map()).set(name, value);
  }
  if (values === undefined) return undefined;
  const owners = values;
  return {
    data: Object.fromEntries(
      [...owners].map(([name, value]) => [name, registry.get(name)?.propagator.inject(value)]),
    ),
    onMessage: (name, message) => registry.get(name)?.propagator.onMessage(owners.get(name), message),
  };
}

/** Runs `fn` on the thread with a stand-in for each carried value, and returns its result. */
export function runWithCarried<R>(
  data: CarriedData,
  send: (name: string, message: unknown) => void,
  fn: () => R,
): R {
  let run = fn;
  for (const [name, carried] of Object.entries(data)) {
    const known = registry.get(name);
    if (known === undefined) continue;
    const value = known.propagator.extract(carried, (message) => send(name, message));
    const inner = run;
    run = () => known.store.run(value, inner);
  }
  return run();
}
