import type { JobSnapshot } from "@taskloom/queue/operating";
import type { ErrorView, JobView } from "./operations.ts";

/** Returns a stored job in the form for people and programs. */
export function viewJob({ error, ...snapshot }: JobSnapshot): JobView {
  return error === undefined ? snapshot : { ...snapshot, error: viewError(error) };
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
