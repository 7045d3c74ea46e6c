/** The argument of a loop's exception handler. */
export interface ExceptionContext {
  /** The event, in a sentence. */
  message: string;
  /** The error, if there is one. */
  exception?: unknown;
  /** The future that failed. */
  future?: unknown;
  /** The task of the event. */
  task?: unknown;
  /** The handle whose callback failed. */
  handle?: unknown;
  /** The transport of the connection. */
  transport?: unknown;
  /** The place where the failed object was made, in debug mode. */
  sourceTraceback?: string | undefined;
}

/** Writes a context to standard error. */
export function reportException(context: ExceptionContext): void {
  const { message, exception, sourceTraceback, ...rest } = context;
  const lines: unknown[] = [message];
  for (const [key, value] of Object.entries(rest)) lines.push(`\n${key}:`, value);
  if (sourceTraceback !== undefined) lines.push(`\n${sourceTraceback}`);
  if ("exception" in context) lines.push("\n", exception);
  console.error(...lines);
}
