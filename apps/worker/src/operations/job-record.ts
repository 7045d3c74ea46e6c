import type { FailedRun, JobSnapshot } from "@taskloom/queue/operating";
import { viewError } from "./error-view.ts";
import type { FailureView, JobView } from "./operations.ts";

/** Returns a stored job in the form for people and programs. */
export function viewJob({ error, failures, ...snapshot }: JobSnapshot): JobView {
  return {
    ...snapshot,
    ...(error === undefined ? {} : { error: viewError(error) }),
    ...(failures === undefined ? {} : { failures: failures.map(viewFailure) }),
  };
}

function viewFailure({ error, ...run }: FailedRun): FailureView {
  return { ...viewError(error), ...run };
}
