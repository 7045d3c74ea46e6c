import { TaskOptionsError } from "../errors.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** At most `max` jobs begin in `per` milliseconds, in each lane, all workers together. */
export interface RateLimit {
  readonly max: number;
  readonly per: number;
}

/** Sets or lifts the rate limit of each lane. */
export async function limitRate(queues: LaneQueues, limit: RateLimit | undefined): Promise<void> {
  if (
    limit !== undefined &&
    !(Number.isSafeInteger(limit.max) && limit.max > 0 && Number.isSafeInteger(limit.per) && limit.per > 0)
  ) {
    throw new TaskOptionsError(
      `Expected a rate limit to be { max, per }, whole numbers above 0, got ${JSON.stringify(limit)}.`,
    );
  }
  await queues.engine.connect();
  await queues.both((queue) =>
    limit === undefined ? queue.removeGlobalRateLimit() : queue.setGlobalRateLimit(limit.max, limit.per),
  );
}
