import { hasEnded } from "../../operations/operations.ts";
import type { JobView, Operations } from "../../operations/operations.ts";
import { pauseUntil } from "./waits.ts";
import type { Wait } from "./waits.ts";

const MAX_WAIT_MS = 300_000;
/** The longest poll: if a client has gone, its wait ends after it. */
const MAX_POLL_MS = 2_000;

/**
 * Returns the job after its end, or in its present state after `seconds`. If the service stops, the wait ends with the
 * state at that time, so that a job that ended during the drain is answered with its end.
 */
export async function waitForEnd(
  operations: Operations,
  id: string,
  seconds = 0,
  queue: string | undefined,
  wait: Wait,
): Promise<JobView> {
  const end = performance.now() + Math.min(seconds * 1_000, MAX_WAIT_MS);
  while (true) {
    if (wait.over.aborted) return await operations.job(id, queue);
    const left = Math.max(0, end - performance.now());
    const poll = operations.waitForEnd(id, Math.min(left, MAX_POLL_MS), queue);
    const job = await Promise.race([poll, pauseUntil(MAX_POLL_MS, wait.over)]);
    if (job !== undefined && (hasEnded(job.state) || left <= MAX_POLL_MS)) return job;
  }
}
