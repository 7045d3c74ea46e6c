import { runInContext } from "@taskloom/offload/context";
import type { Propagated } from "@taskloom/offload/context";
import { decodeValue } from "../wire/decode.ts";
import type { JobData } from "../wire/job-data.ts";

/** Calls `fn` with the propagated stores and the trace context of a job's submission. */
export function runInSubmissionContext<T>({ context }: Pick<JobData, "context">, fn: () => T): T {
  if (context === undefined) return fn();
  const stores = decodeValue(context);
  // Another client can have stored any value.
  return runInContext(isStores(stores) ? stores : undefined, fn);
}

function isStores(value: unknown): value is Propagated {
  return typeof value === "object" && value !== null;
}
