import type { Engine } from "../contract/engine.ts";
import { JobLostError, TaskOptionsError } from "../errors.ts";
import { lanes, publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { JobData } from "../wire/job-data.ts";
import { readCursor, writeCursor } from "./cursor.ts";
import { failureKey, keyOfFailure, readOfFailure } from "./failures.ts";
import { readSnapshot } from "./job-snapshot.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** So many jobs one call of {@link retryFailed} puts back at most. */
const retriedAtMost = 1_000;
/** So many jobs are put back at the same time. */
const atOnce = 20;

/**
 * Puts a job that failed for good back into its queue, as if it had never been tried: with all its attempts, with no
 * worker's death counted against it, and without its deadline, which has passed or will before a run could help.
 *
 * @param reply where the outcome is sent; undefined leaves it as it is.
 * @throws {@link JobLostError} when there is no such job, {@link TaskOptionsError} when it did not fail.
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
    new JobLostError(`There is no job ${id} at ${engine.url} any more; submit it again.`);
  const state = await queue.getJobState(stored);
  if (state === "unknown") throw lost();
  const notFailed = new TaskOptionsError(
    `Job ${id} did not fail for good, so there is nothing to retry: it is ${state}.`,
  );
  if (state !== "failed") throw notFailed;
  const job = await queue.getJob(stored).catch((cause: unknown) => {
    throw new TaskOptionsError(`Job ${id} cannot be retried: its record is not that of a job.`, { cause });
  });
  if (job === undefined) throw lost();
  await engine.renewAttempts(queues.nameOf(lane), stored);
  const data: Partial<JobData> = job.data;
  // A record that is no submission stays as it is, for the worker to refuse.
  if (data.v !== undefined && (reply !== undefined || data.deadline !== undefined)) {
    const { deadline: _passed, ...rest } = job.data;
    await job.updateData(reply === undefined ? rest : { ...rest, reply });
  }
  try {
    await job.retry("failed", { resetAttemptsMade: true, resetAttemptsStarted: true });
  } catch (error) {
    // Somebody else was quicker.
    if ((await queue.getJobState(stored)) !== "failed") throw notFailed;
    throw error;
  }
}

/** Which failed jobs are retried. */
export interface RetryQuery {
  /** Only those of this task. */
  readonly task?: string;
  /** Only those that failed with this error, give or take numbers and ids in its message: one group of failures. */
  readonly error?: { readonly name: string; readonly message: string };
  /** The `next` of an earlier call. */
  readonly cursor?: string;
}

/** The result of {@link retryFailed}. */
export interface RetryPage {
  /** The ids of the jobs that were put back. */
  readonly retried: readonly string[];
  /** Those that could not be, each with the reason. */
  readonly skipped: readonly { readonly id: string; readonly code: string; readonly message: string }[];
  /** There is more: call again with it. */
  readonly next?: string;
}

/** How far a call of {@link retryFailed} came: in which lane, over how many jobs, and how many are left there. */
interface RetryPlace {
  readonly lane: number;
  readonly skipped: number;
  readonly left: number;
}

/**
 * Retries the jobs that have failed for good, up to 1,000 in one call, the oldest failure first: those that fail once
 * more meanwhile stand behind all others, and as many jobs are looked at as there were at the first call.
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
  let place: RetryPlace | undefined = cursor === undefined ? undefined : placeAt(cursor);
  for (let at = place?.lane ?? 0; at < all.length; at++, place = undefined) {
    const { queues: of, lane } = all[at] as { queues: LaneQueues; lane: Lane };
    const name = of.nameOf(lane);
    let from = place?.skipped ?? 0;
    let left = place?.left ?? (await of.lane(lane).getJobCounts("failed"))["failed"] ?? 0;
    while (left > 0) {
      if (retried.length >= retriedAtMost)
        return { retried, skipped, next: writeCursor({ lane: at, skipped: from, left }) };
      const ids = await engine.idsIn(name, "failed", from, Math.min(atOnce, left), "oldest");
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
  const limits = error === undefined ? {} : readOfFailure;
  const records = await queues.engine.readRecords(queues.nameOf(lane), ids, limits);
  return ids.filter((_, index) => {
    const record = records[index];
    if (record === undefined || (task !== undefined && record.name !== task)) return false;
    if (error === undefined) return true;
    const failure = readSnapshot(record, "failed", queues.queueName, lane);
    return keyOfFailure(failure) === failureKey(record.name, error.name, error.message);
  });
}

function placeAt(cursor: string): RetryPlace {
  const { lane, skipped, left } = readCursor(cursor) ?? {};
  if (lane !== undefined && skipped !== undefined && left !== undefined) return { lane, skipped, left };
  throw new TaskOptionsError("Expected `cursor` to be the `next` of an earlier answer.");
}
