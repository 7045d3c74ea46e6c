import type { Engine } from "@taskloom/queue";
import { untilAnswered } from "@taskloom/queue/lane";
import { findJob, LaneQueues, readJob } from "@taskloom/queue/operating";
import type { JobSnapshot, JobState } from "@taskloom/queue/operating";
import { runAddress } from "./run-address.ts";

/** The state of a run: that of its job, and `parked` for a run that has begun and is in no worker's memory. */
export type RunState = JobState | "parked";

/** The facts about a run that need no worker. */
export interface RunSnapshot extends Omit<JobSnapshot, "state"> {
  readonly state: RunState;
  /** The number of its histories before this one, by `continueAs`. */
  readonly generation: number;
  /** The number of ticks in its history. */
  readonly length: number;
  /** The number of deliveries that the run has not read. */
  readonly unread: number;
  /** The number of workers that died at this length of its history. */
  readonly deaths: number;
}

/** Returns a run: its job, and the head of its journal. */
export async function runOf(engine: Engine, job: JobSnapshot): Promise<RunSnapshot> {
  const { lane, stored } = runAddress(job);
  const head = await untilAnswered(engine, () => engine.journal.head(lane, stored));
  const { generation = 0, length = 0, unread = 0, deaths = 0 } = head ?? {};
  const isParked = job.state === "delayed" && (length > 0 || generation > 0);
  return { ...job, state: isParked ? "parked" : job.state, generation, length, unread, deaths };
}

/** Finds a run by its full id, or by the id that its submitter chose, and reads it. Resolves with undefined if none of the queues has the run. */
export async function readRun(
  engine: Engine,
  queues: readonly string[],
  id: string,
): Promise<RunSnapshot | undefined> {
  const full = id.startsWith("workflow.") ? id : `workflow.${id}`;
  const place = await findJob(engine, queues, full);
  if (place === undefined) return undefined;
  const lanes = new LaneQueues(engine, place.queue);
  try {
    const job = await readJob(lanes, place);
    return job === undefined ? undefined : await runOf(engine, job);
  } finally {
    await lanes.close();
  }
}
