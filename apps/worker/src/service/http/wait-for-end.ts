import { hasEnded } from "../../operations/operations.ts";
import type { JobView, Operations } from "../../operations/operations.ts";
import { pauseUntil } from "./waits.ts";
import type { Wait } from "./waits.ts";

const longestWait = 300_000;
/** How long one look waits at most, in milliseconds: a wait that nobody is interested in any more ends after it. */
const longestLook = 2_000;

/**
 * The job once it has ended, or as it is after `seconds`. When the service closes, the job as it is then: what ended
 * during the drain is answered with its end.
 */
export async function waitForEnd(
  operations: Operations,
  id: string,
  seconds = 0,
  queue: string | undefined,
  wait: Wait,
): Promise<JobView> {
  const end = performance.now() + Math.min(seconds * 1_000, longestWait);
  while (true) {
    if (wait.over.aborted) return await operations.job(id, queue);
    const left = Math.max(0, end - performance.now());
    const look = operations.ended(id, Math.min(left, longestLook), queue);
    const job = await Promise.race([look, pauseUntil(longestLook, wait.over)]);
    if (job !== undefined && (hasEnded(job.state) || left <= longestLook)) return job;
  }
}
