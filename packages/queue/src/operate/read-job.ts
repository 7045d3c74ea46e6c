import type { Engine } from "../contract/engine.ts";
import type { FieldLimits, JobRecord } from "../contract/job-record.ts";
import { jobId, laneOfJobId, laneQueueName, lanes, storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { failuresOf, readSnapshot } from "./job-snapshot.ts";
import type { JobSnapshot } from "./job-snapshot.ts";
import type { LaneQueues } from "./lane-queues.ts";
import { readLimitedBy } from "./task-limits.ts";

/** The bytes that are read of each field of one job: more than the wire's limits let a job have. */
const WHOLE_JOB: FieldLimits = {
  data: 16 * 1_048_576,
  opts: 1_048_576,
  progress: 16 * 1_048_576,
  returnvalue: 16 * 1_048_576,
  stacktrace: 16 * 1_048_576,
  failedReason: 1_048_576,
};

/** The place of a stored job. */
export interface JobPlace {
  readonly queue: string;
  readonly lane: Lane;
  /** The id under which the engine stores the job. */
  readonly stored: string;
}

/**
 * Finds a job by its full id, by the id that its submitter chose, or by the id of a scheduled run with or without the
 * lane. Resolves with undefined if none of the queues has the job.
 */
export async function findJob(
  engine: Engine,
  queues: readonly string[],
  id: string,
): Promise<JobPlace | undefined> {
  if (id.includes("\0")) return undefined; // PostgreSQL refuses the character in any text.
  await engine.connect();
  const own = laneOfJobId(id);
  for (const queue of queues) {
    const places = await Promise.all(
      (own === undefined ? lanes : [own]).map(async (lane): Promise<JobPlace | undefined> => {
        const ids = own === undefined ? [id, jobId(lane, id)] : [storedId(id)];
        const records = await engine.readRecords(laneQueueName(queue, lane), ids, {});
        const found = records.find((record) => record !== undefined);
        return found === undefined ? undefined : { queue, lane, stored: found.id };
      }),
    );
    const place = places.find((each) => each !== undefined);
    if (place !== undefined) return place;
  }
  return undefined;
}

/** Reads a whole stored job. Resolves with undefined if there is no such job. */
export async function readJob(
  queues: LaneQueues,
  { lane, stored }: Omit<JobPlace, "queue">,
): Promise<JobSnapshot | undefined> {
  const readRecord = async (): Promise<JobRecord | undefined> =>
    (await queues.engine.readRecords(queues.nameOf(lane), [stored], WHOLE_JOB))[0];
  let record = await readRecord();
  const state = record?.ended ?? (await queues.lane(lane).getJobState(stored));
  // The job can end between the two reads.
  if ((state === "completed" || state === "failed") && record?.finishedOn === undefined)
    record = await readRecord();
  if (record === undefined) return undefined;
  const failures = failuresOf(record);
  const limitedBy = state === "delayed" ? await readLimitedBy(queues, lane, stored) : undefined;
  return {
    ...readSnapshot(record, state, queues.queueName, lane),
    ...(failures.length === 0 ? {} : { failures }),
    ...(limitedBy === undefined ? {} : { limitedBy }),
  };
}
