import { pathToFileURL } from "node:url";
import type { AnyFunction } from "../boundary/callable.ts";

/** Returns the URL of the file of the function that called `below`, or null if that is not a file. */
export function callerModule(below: AnyFunction): string | null {
  const { prepareStackTrace, stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 1;
    Error.prepareStackTrace = (_error, sites): unknown => sites[0]?.getFileName();
    const probe: { stack?: unknown } = {};
    Error.captureStackTrace(probe, below);
    const file = probe.stack;
    if (typeof file !== "string") return null;
    if (file.startsWith("file:")) return file.replace(/\?.*$/, "");
    return file.startsWith("/") || /^[A-Za-z]:[\\/]/.test(file) ? pathToFileURL(file).href : null;
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** Captures the stack of the place where a call is made. V8 formats the stack only when it is read. */
export function captureStack(below: AnyFunction): { readonly stack: string } {
  const place = { stack: "" };
  Error.captureStackTrace(place, below);
  return place;
}
