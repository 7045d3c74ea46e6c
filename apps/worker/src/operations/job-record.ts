import type { JobSnapshot } from "@taskloom/queue/operating";
import { viewError } from "./error-view.ts";
import type { JobView } from "./operations.ts";

/** Returns a stored job in the form for people and programs. */
export function viewJob({ error, ...snapshot }: JobSnapshot): JobView {
  return error === undefined ? snapshot : { ...snapshot, error: viewError(error) };
}
