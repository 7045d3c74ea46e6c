import { TaskOptionsError } from "../errors.ts";
import { wholeMilliseconds } from "../milliseconds.ts";
import type { LaneQueues } from "./lane-queues.ts";

/**
 * A limit on the starts of jobs in each lane: at most `max` in `per` milliseconds, for all workers together. A durable run
 * that was parked starts again when it wakes.
 */
export interface RateLimit {
  readonly max: number;
  readonly per: number;
}

/**
 * Sets the rate limit of each lane; `undefined` lifts it.
 *
 * @throws {@link TaskOptionsError} for a limit of less than one job, or a time that is not positive.
 */
export async function limitRate(queues: LaneQueues, limit: RateLimit | undefined): Promise<void> {
  const per = limit === undefined ? 0 : wholeMilliseconds("`per` of a rate limit", limit.per, { from: 1 });
  if (limit !== undefined && !(Number.isSafeInteger(limit.max) && limit.max > 0)) {
    throw new TaskOptionsError(
      `Expected a rate limit to be { max, per }, whole numbers above 0, got ${JSON.stringify({ ...limit, per })}`,
    );
  }
  await queues.engine.connect();
  await queues.each((queue) =>
    limit === undefined ? queue.removeGlobalRateLimit() : queue.setGlobalRateLimit(limit.max, per),
  );
}

/** Returns the rate limit of a queue, or undefined if there is none. All lanes have the same limit. */
export async function readRateLimit(queues: LaneQueues): Promise<RateLimit | undefined> {
  await queues.engine.connect();
  const limit = await queues.lane("loop").getGlobalRateLimit();
  return limit === null ? undefined : { max: limit.max, per: limit.duration };
}
