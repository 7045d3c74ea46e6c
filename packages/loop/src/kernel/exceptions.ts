/** What the loop's exception handler is told. */
export interface ExceptionContext {
  /** What happened, in a sentence. */
  message: string;
  /** The error, if there is one. */
  exception?: unknown;
  /** The future whose error it is. */
  future?: unknown;
  /** The task it happened in. */
  task?: unknown;
  /** The callback it happened in. */
  handle?: unknown;
  /** The connection it happened on. */
  transport?: unknown;
  /** Debug mode: where the failing thing was made. */
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
