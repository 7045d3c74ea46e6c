/**
 * The context of a call travels with it: the values of registered `AsyncLocalStorage`s, and the trace context of
 * OpenTelemetry.
 */
import type { AsyncLocalStorage } from "node:async_hooks";
import { sharedState } from "./shared-state.ts";

const OTEL_KEY = Symbol.for("opentelemetry.js.api.1");
const TRACE = "taskloom.trace";

const registry: Map<string, AsyncLocalStorage<unknown>> = sharedState(
  "taskloom.propagated",
  () => new Map<string, AsyncLocalStorage<unknown>>(),
);

/** The parts of OpenTelemetry's global API object that carry a trace context. */
interface OpenTelemetry {
  context?: {
    active(): unknown;
    with(context: unknown, fn: () => unknown): unknown;
  };
  propagation?: {
    inject(context: unknown, carrier: object, setter: object): void;
    extract(context: unknown, carrier: unknown, getter: object): unknown;
  };
}
const openTelemetry = globalThis as { readonly [OTEL_KEY]?: OpenTelemetry };

/** Values of propagated stores, each under the name with which its store is registered. */
export type Propagated = Readonly<Record<string, unknown>>;

/**
 * Makes a store's value travel with every call to a thread, and with the jobs of a queue. In such a call
 * `store.getStore()` returns a clone of the value that the store had where the call was made.
 *
 * The store has to be registered under the same name on both sides. A module that defines and registers a store
 * does this on each side that imports the module.
 *
 * @param store the storage whose value travels
 * @param name the name of the store on both sides; by default the name of the storage itself (Node 24)
 * @throws TypeError if the store has no name
 *
 * ```ts
 * import { AsyncLocalStorage } from "node:async_hooks";
 * import { propagate } from "@taskloom/offload";
 *
 * export const requestId = propagate(new AsyncLocalStorage<string>(), "requestId");
 * ```
 */
export function propagate<T>(
  store: AsyncLocalStorage<T> & { readonly name?: string },
  name?: string,
): AsyncLocalStorage<T> {
  const key = name ?? store.name;
  if (!key)
    throw new TypeError('Expected a name for the propagated store, as in propagate(store, "requestId")');
  registry.set(key, store);
  return store;
}

/** Returns the values that a call made now would carry, or undefined if there are none. */
export function capturePropagated(): Propagated | undefined {
  let values: Record<string, unknown> | undefined;
  if (registry.size > 0) {
    for (const [name, store] of registry) {
      const value = store.getStore();
      if (value !== undefined) (values ??= {})[name] = value;
    }
  }
  const otel = openTelemetry[OTEL_KEY];
  if (otel?.propagation && otel.context) {
    const carrier: Record<string, string> = {};
    otel.propagation.inject(otel.context.active(), carrier, {
      set: (into: Record<string, string>, key: string, value: string) => {
        into[key] = value;
      },
    });
    if (Object.keys(carrier).length > 0) (values ??= {})[TRACE] = carrier;
  }
  return values;
}

/** Runs `fn` with propagated values in place, and returns its result. */
export function runInContext<R>(values: Propagated | undefined, fn: () => R): R {
  if (values === undefined) return fn();
  let run: () => unknown = fn;
  for (const [name, value] of Object.entries(values)) {
    if (name === TRACE) {
      const otel = openTelemetry[OTEL_KEY];
      if (!otel?.propagation || !otel.context) continue;
      const { context, propagation } = otel;
      const inner = run;
      run = () => {
        const remote = propagation.extract(context.active(), value, {
          get: (from: Record<string, string>, key: string) => from[key],
          keys: (from: Record<string, string>) => Object.keys(from),
        });
        return context.with(remote, inner);
      };
      continue;
    }
    const store = registry.get(name);
    if (store === undefined) continue;
    const inner = run;
    run = () => store.run(value, inner);
  }
  return run() as R;
}
