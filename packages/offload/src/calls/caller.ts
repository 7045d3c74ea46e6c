import { pathToFileURL } from "node:url";

/** The file of the function that called `below`, as a URL, or null where that is not a file. */
export function callerModule(below: (...args: never[]) => unknown): string | null {
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

/** Where a call was made, kept cheaply: V8 formats a stack only when somebody reads it. */
export function captureStack(below: (...args: never[]) => unknown): { readonly stack: string } {
  const here = {} as { stack: string };
  Error.captureStackTrace(here, below);
  return here;
}
