import type { JobSnapshot } from "@taskloom/queue/operating";
import type { ErrorView, JobView } from "./operations.ts";

/** A stored job as it is shown. */
export function viewJob({ error, ...snapshot }: JobSnapshot): JobView {
  return error === undefined ? snapshot : { ...snapshot, error: viewError(error) };
}

/** An error as it is shown: what people read, and no more. */
export function viewError(error: unknown): ErrorView {
  if (!(error instanceof Error)) return { name: "thrown", message: String(error) };
  const { code } = error as { code?: unknown };
  return {
    name: error.name,
    message: error.message,
    ...(typeof code === "string" ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}
