import { jobId, otherLane } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { LaneQueues } from "../operate/lane-queues.ts";
import { isKeepable } from "./kept-submissions.ts";
import type { Submission } from "./submission.ts";

/** What the other lane has to do with submissions to a lane. */
export interface OtherLane {
  /** Those whose job is there, since their task ran there before, and under which id. */
  readonly jobs: Map<Submission, string>;
  /** Those that somebody is adding there just now: there is a job to wait for in a moment. */
  readonly onTheWay: ReadonlySet<Submission>;
  /** Those that have to run after a job that runs there: with `keepLastIfActive` they are no part of it. */
  readonly behind: ReadonlySet<Submission>;
}

/** States of a job that is over, so that nothing can be folded into it. */
const hasEnded: ReadonlySet<string> = new Set(["completed", "failed", "unknown"]);

/**
 * Looks whether what is submitted to a lane is in the other one. BullMQ sees to it that an id and a key are there once
 * in a lane; that they are there once in a queue is seen to here.
 */
export async function askOtherLane(
  queues: LaneQueues,
  lane: Lane,
  submissions: readonly Submission[],
): Promise<OtherLane> {
  const jobs = new Map<Submission, string>();
  const onTheWay = new Set<Submission>();
  const behind = new Set<Submission>();
  const other = otherLane(lane);
  const chosen = submissions.filter(({ mayExist }) => mayExist);
  if (chosen.length > 0) {
    const keys = chosen.map(({ id }) => id.slice(lane.length + 1));
    // Claimed first: whoever claims it for the other lane after this look waits until the job is there to be seen.
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
      else if (state === undefined || !hasEnded.has(state)) jobs.set(submission, holder);
    }),
  );
  return { jobs, onTheWay, behind };
}
