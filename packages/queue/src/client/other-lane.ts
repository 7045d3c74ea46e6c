import { jobId, otherLane } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import { isKeepable } from "./kept-submissions.ts";
import type { Submission } from "./submission.ts";

/** The submissions to a lane that concern jobs of the other lane. A task can have run there in an earlier version. */
export interface OtherLane {
  /** The submissions whose job is in the other lane, with the id of that job. */
  readonly jobs: Map<Submission, string>;
  /** The submissions whose job another process is just adding to the other lane. */
  readonly onTheWay: ReadonlySet<Submission>;
  /** The submissions with `keepLastIfActive` that have to run after a running job of the other lane. */
  readonly behind: ReadonlySet<Submission>;
}

/** The states of jobs that have ended. No submission is folded into them. */
const ENDED_STATES: ReadonlySet<string> = new Set(["completed", "failed", "unknown"]);

/**
 * Finds the submissions to a lane that are jobs of the other lane already. BullMQ stores an id and a key once in a lane;
 * this function makes sure that they are stored once in the lanes of tasks. Durable runs cannot be in another lane, so
 * nothing is asked for them.
 */
export async function askOtherLane(
  queues: LaneQueues,
  lane: Lane,
  submissions: readonly Submission[],
): Promise<OtherLane> {
  const jobs = new Map<Submission, string>();
  const onTheWay = new Set<Submission>();
  const behind = new Set<Submission>();
  if (lane === "workflow") return { jobs, onTheWay, behind };
  const other = otherLane(lane);
  const chosen = submissions.filter(({ mayExist }) => mayExist);
  if (chosen.length > 0) {
    const keys = chosen.map(({ id }) => id.slice(lane.length + 1));
    // The claim comes before the lookup: a process that claims the id for the other lane later waits for this job.
    const claimed = await queues.engine.claimLane(queues.queueName, lane, keys);
    const ids = keys.map((key) => jobId(other, key));
    for (const [index, job] of (await queues.lookup(other, ids)).entries()) {
      const submission = chosen[index]!;
      if (job.kind !== "missing") jobs.set(submission, ids[index]!);
      else if (!claimed.has(keys[index]!)) onTheWay.add(submission);
    }
  }
  const keyed = submissions.filter(({ options }) => options.deduplication !== undefined);
  await Promise.all(
    keyed.map(async (submission) => {
      const key = submission.options.deduplication!.id;
      const holder = await queues.lane(other).getDeduplicationJobId(key);
      if (holder === null) return;
      const state = isKeepable(submission) ? await queues.lane(other).getJobState(holder) : undefined;
      if (state === "active") behind.add(submission);
      else if (state === undefined || !ENDED_STATES.has(state)) jobs.set(submission, holder);
    }),
  );
  return { jobs, onTheWay, behind };
}
