import { createRequire } from "node:module";
import { hasProvider } from "./otel-providers.ts";

/** The API of OpenTelemetry. */
export type TracingApi = typeof import("@opentelemetry/api");

const require = createRequire(import.meta.url);

/**
 * Returns the API of OpenTelemetry, once the process has a provider of tracers. Without one each span would be dropped, so
 * the API is not even loaded. It is loaded by `require`, because a span begins with its job and cannot wait.
 */
export function tracing(): TracingApi | undefined {
  return hasProvider("trace") ? (require("@opentelemetry/api") as TracingApi) : undefined;
}
