import { createRequire } from "node:module";

/** The API of OpenTelemetry. */
export type TracingApi = typeof import("@opentelemetry/api");

const require = createRequire(import.meta.url);
/** The place at which each copy of the API, major version 1, finds the providers of the process. */
const PROVIDERS = Symbol.for("opentelemetry.js.api.1");

/**
 * Returns the API of OpenTelemetry, once the process has a provider of tracers. Without one each span would be dropped, so
 * the API is not even loaded. It is loaded by `require`, because a span begins with its job and cannot wait.
 */
export function tracing(): TracingApi | undefined {
  const providers: { readonly trace?: unknown } | undefined = Reflect.get(globalThis, PROVIDERS);
  return providers?.trace === undefined ? undefined : (require("@opentelemetry/api") as TracingApi);
}
