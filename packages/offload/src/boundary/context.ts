/**
 * What surrounds a call travels with it: values of registered `AsyncLocalStorage`s, and the trace context.
 *
 * The registry hangs off `globalThis`, so that two copies of this module (a bundle's and the thread's) are
 * one registry.
 */
import type { AsyncLocalStorage } from "node:async_hooks";

const registryKey = Symbol.for("taskloom.propagated");
const otelKey = Symbol.for("opentelemetry.js.api.1");
const TRACE = "taskloom.trace";

type Registry = Map<string, AsyncLocalStorage<unknown>>;
const scope = globalThis as unknown as {
  [registryKey]?: Registry;
  [otelKey]?: OpenTelemetry;
};
const registry: Registry = (scope[registryKey] ??= new Map());

/** As much of OpenTelemetry's global API object as is needed to carry a trace context. */
interface OpenTelemetry {
  context?: {
    active(): unknown;
    with(context: unknown, fn: () => unknown): unknown;
  };
  propagation?: {
    inject(context: unknown, carrier: object, setter: object): void;
    extract(context: unknown, carrier: object, getter: object): unknown;
  };
}

/** Values by the name their store was registered under. */
export type Propagated = Readonly<Record<string, unknown>>;

/**
 * Makes a store's value travel with every call to a thread (and with a queue's jobs): inside,
 * `store.getStore()` gives what it gave where the call was made, cloned.
 *
 * Both sides have to register the store under the same name, which the module that defines it does by
 * itself when it is imported there.
 *
 * @param store the storage whose value shall travel
 * @param name what names it on both sides; by default the storage's own name (Node 24)
 * @throws TypeError when there is no name, or another store has it
 *
 * ```ts
 * import { AsyncLocalStorage } from "node:async_hooks";
 * import { propagate } from "@taskloom/offload";
 *
 * export const requestId = propagate(new AsyncLocalStorage<string>(), "requestId");
 * ```
 */
export function propagate<T>(store: AsyncLocalStorage<T>, name?: string): AsyncLocalStorage<T> {
  const key = name ?? (store as { name?: string }).name;
  if (!key)
    throw new TypeError('Expected a name for the propagated store, as in propagate(store, "requestId")');
  registry.set(key, store);
  return store;
}

/** The values to send along now; undefined when there are none. */
export function captureContext(): Propagated | undefined {
  let values: Record<string, unknown> | undefined;
  if (registry.size > 0) {
    for (const [name, store] of registry) {
      const value = store.getStore();
      if (value !== undefined) (values ??= {})[name] = value;
    }
  }
  const otel = scope[otelKey];
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

/** Runs `fn` with propagated values in place. */
export function runInContext<R>(values: Propagated | undefined, fn: () => R): R {
  if (values === undefined) return fn();
  let run: () => unknown = fn;
  for (const [name, value] of Object.entries(values)) {
    if (name === TRACE) {
      const otel = scope[otelKey];
      if (!otel?.propagation || !otel.context) continue;
      const { context, propagation } = otel;
      const inner = run;
      run = () => {
        const remote = propagation.extract(context.active(), value as object, {
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
