import type { Engine } from "../contract/engine.ts";
import type { FieldLimits, StoredState } from "../contract/job-record.ts";
import { laneOfJobId, laneQueueName, lanes, storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { readSnapshot } from "./job-snapshot.ts";
import type { JobSnapshot } from "./job-snapshot.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** The bytes that a look at one job reads of each field: more than the wire lets a job have. */
const wholeJob: FieldLimits = {
  data: 16 * 1_048_576,
  opts: 1_048_576,
  progress: 16 * 1_048_576,
  returnvalue: 16 * 1_048_576,
  stacktrace: 16 * 1_048_576,
  failedReason: 1_048_576,
};

/** Where a job is stored. */
export interface JobPlace {
  readonly queue: string;
  readonly lane: Lane;
  /** The id under which it is stored. */
  readonly stored: string;
}

/**
 * Finds a job by its id: the full one, that of a scheduled run with or without its lane, or the one that its submitter
 * chose. Undefined when none of the queues has it.
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
    for (const lane of own === undefined ? lanes : [own]) {
      const ids = own === undefined ? [id, `${lane}.${id}`] : [storedId(id)];
      const records = await engine.readRecords(laneQueueName(queue, lane), ids, {});
      const found = records.find((record) => record !== undefined);
      if (found !== undefined) return { queue, lane, stored: found.id };
    }
  }
  return undefined;
}

/** Everything that is stored of a job; undefined when it is gone. */
export async function readJob(
  queues: LaneQueues,
  { lane, stored }: Omit<JobPlace, "queue">,
): Promise<JobSnapshot | undefined> {
  const state = (await queues.lane(lane).getJobState(stored)) as StoredState | "unknown";
  const [record] = await queues.engine.readRecords(queues.nameOf(lane), [stored], wholeJob);
  return record === undefined ? undefined : readSnapshot(record, state, queues.queueName, lane);
}
