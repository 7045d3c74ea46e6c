/** The place at which each copy of the OpenTelemetry API, major version 1, finds the providers of the process. */
const PROVIDERS = Symbol.for("opentelemetry.js.api.1");

/** Returns whether the process has an OpenTelemetry SDK for metrics. Without one, nothing is measured for it. */
export function hasMeterProvider(): boolean {
  const providers = Reflect.get(globalThis, PROVIDERS) as { readonly metrics?: unknown } | undefined;
  return providers?.metrics !== undefined;
}
