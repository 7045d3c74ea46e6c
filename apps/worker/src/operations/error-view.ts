/** An error in the form for people and programs. */
export interface ErrorView {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
}

/** Returns the readable properties of an error. A task can throw any value. */
export function viewError(error: unknown): ErrorView {
  if (!(error instanceof Error)) return { name: "thrown", message: String(error) };
  const { name, message, stack, code }: Error & { readonly code?: unknown } = error;
  return {
    name,
    message,
    ...(typeof code === "string" ? { code } : {}),
    ...(stack === undefined ? {} : { stack }),
  };
}
