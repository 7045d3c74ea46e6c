/** The place at which each copy of the OpenTelemetry API, major version 1, finds the providers of the process. */
const PROVIDERS = Symbol.for("opentelemetry.js.api.1");

/** Returns whether an OpenTelemetry SDK in the process takes this kind of data. Without one, nothing is measured for it. */
export function hasProvider(kind: "metrics" | "trace"): boolean {
  const providers = Reflect.get(globalThis, PROVIDERS) as Partial<Record<typeof kind, unknown>> | undefined;
  return providers?.[kind] !== undefined;
}
