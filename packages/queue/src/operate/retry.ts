import type { Engine } from "../contract/engine.ts";
import { JobLostError, TaskOptionsError } from "../errors.ts";
import { lanes, publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { JobData, RetriedRun } from "../wire/job-data.ts";
import { placesIn, writeCursor } from "./cursor.ts";
import { failureKey, keyOfFailure } from "./failure-key.ts";
import { FAILURE_LIMITS } from "./failures.ts";
import { readSnapshot } from "./job-snapshot.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** The number of jobs that one call of {@link retryFailed} retries. */
const MAX_RETRIED = 1_000;
/** The number of jobs that are retried at the same time. */
const MAX_AT_ONCE = 20;

/**
 * Retries a job that has failed for good, as if it had never run: with all its attempts, with no worker's death counted
 * against it, and without its deadline, which has passed or will pass too soon. A durable run that its dying workers have
 * failed goes on from its history, under its deadline.
 *
 * @param reply the address to which the outcome is sent; undefined leaves the address as it is.
 * @throws {@link JobLostError} if there is no such job, {@link TaskOptionsError} if the job has not failed.
 */
export async function retryStored(
  queues: LaneQueues,
  lane: Lane,
  stored: string,
  reply?: string,
): Promise<void> {
  const { engine } = queues;
  const queue = queues.lane(lane);
  const id = publicId(lane, stored);
  const lost = (): JobLostError =>
    new JobLostError(`There is no job ${id} at ${engine.url} any more; submit it again`);
  const state = await queue.getJobState(stored);
  if (state === "unknown") throw lost();
  const notFailed = new TaskOptionsError(
    `Job ${id} did not fail for good, so there is nothing to retry: it is ${state}`,
  );
  if (state !== "failed") throw notFailed;
  const job = await queue.getJob(stored).catch((cause: unknown) => {
    throw new TaskOptionsError(`Job ${id} cannot be retried, since its record is not that of a job`, {
      cause,
    });
  });
  if (job === undefined) throw lost();
  await engine.renewAttempts(queues.nameOf(lane), stored);
  const data: Partial<JobData> = job.data;
  // A record that is not a submission stays as it is.
  const retried = lane === "workflow" ? await placeOf(engine, queues.nameOf(lane), stored) : undefined;
  if (data.v !== undefined && (reply ?? data.deadline ?? retried) !== undefined) {
    const { deadline, ...rest } = job.data;
    await job.updateData({
      ...rest,
      // A history that goes on was recorded under its deadline.
      ...(deadline === undefined || retried === undefined ? {} : { deadline }),
      ...(reply === undefined ? {} : { reply }),
      ...(retried === undefined ? {} : { retried }),
    });
  }
  try {
    await job.retry("failed", { resetAttemptsMade: true, resetAttemptsStarted: true });
  } catch (error) {
    // Another caller has retried the job.
    if ((await queue.getJobState(stored)) !== "failed") throw notFailed;
    throw error;
  }
}

/** Returns the place of a durable run; undefined if it has no journal. */
async function placeOf(engine: Engine, lane: string, stored: string): Promise<RetriedRun | undefined> {
  const head = await engine.journal.head(lane, stored);
  return head && { generation: head.generation, length: head.length, deaths: head.deaths };
}

/** The failed jobs that {@link retryFailed} retries. */
export interface RetryQuery {
  /** Retries only the jobs of this task. */
  readonly task?: string;
  /** Retries only the jobs of one group of failures: those with this error, apart from numbers and ids in its message. */
  readonly error?: { readonly name: string; readonly message: string };
  /** The `next` of an earlier call. */
  readonly cursor?: string;
}

/** The result of {@link retryFailed}. */
export interface RetryPage {
  /** The ids of the jobs that were retried. */
  readonly retried: readonly string[];
  /** The jobs that could not be retried, each with the reason. */
  readonly skipped: readonly { readonly id: string; readonly code: string; readonly message: string }[];
  /** The cursor of the next call; undefined after the last job. */
  readonly next?: string;
}

/** The place at which a call of {@link retryFailed} has ended. */
interface RetryPlace {
  /** The index of the lane. */
  readonly lane: number;
  /** The number of jobs of the lane that stay failed, and are skipped. */
  readonly skipped: number;
  /** The number of jobs that are left in the lane. */
  readonly left: number;
}

/**
 * Retries the jobs that have failed for good, up to 1,000 in one call. The oldest failure comes first, and each lane is
 * read up to the number of jobs that it had at the first call. A job that fails again in between is therefore not
 * retried a second time.
 */
export async function retryFailed(
  engine: Engine,
  open: (queue: string) => LaneQueues,
  queues: readonly string[],
  { cursor, ...which }: RetryQuery,
): Promise<RetryPage> {
  await engine.connect();
  const all = queues.flatMap((queue) => lanes.map((lane) => ({ queues: open(queue), lane })));
  const retried: string[] = [];
  const skipped: { id: string; code: string; message: string }[] = [];
  let place: RetryPlace | undefined =
    cursor === undefined ? undefined : placesIn(cursor, ["lane", "skipped", "left"]);
  for (let at = place?.lane ?? 0; at < all.length; at++, place = undefined) {
    const { queues: of, lane } = all[at]!;
    const name = of.nameOf(lane);
    let from = place?.skipped ?? 0;
    let left = place?.left ?? (await of.lane(lane).getJobCounts("failed"))["failed"] ?? 0;
    while (left > 0) {
      if (retried.length >= MAX_RETRIED)
        return { retried, skipped, next: writeCursor({ lane: at, skipped: from, left }) };
      const ids = await engine.idsIn(name, "failed", from, Math.min(MAX_AT_ONCE, left), "oldest");
      if (ids.length === 0) break;
      left -= ids.length;
      const chosen = await chosenOf(of, lane, ids, which);
      from += ids.length - chosen.length;
      await Promise.all(
        chosen.map(async (stored) => {
          const id = publicId(lane, stored);
          try {
            await retryStored(of, lane, stored);
            retried.push(id);
          } catch (error) {
            if (!(error instanceof JobLostError || error instanceof TaskOptionsError)) throw error;
            from++;
            skipped.push({ id, code: error.code, message: error.message });
          }
        }),
      );
    }
  }
  return { retried, skipped };
}

async function chosenOf(
  queues: LaneQueues,
  lane: Lane,
  ids: readonly string[],
  { task, error }: Omit<RetryQuery, "cursor">,
): Promise<readonly string[]> {
  if (task === undefined && error === undefined) return ids;
  const limits = error === undefined ? {} : FAILURE_LIMITS;
  const records = await queues.engine.readRecords(queues.nameOf(lane), ids, limits);
  return ids.filter((_, index) => {
    const record = records[index];
    if (record === undefined || (task !== undefined && record.name !== task)) return false;
    if (error === undefined) return true;
    const failure = readSnapshot(record, "failed", queues.queueName, lane);
    return keyOfFailure(failure) === failureKey(record.name, error.name, error.message);
  });
}
