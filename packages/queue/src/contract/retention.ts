import type { BullJob } from "./lane-queue.ts";
import type { JobData } from "../wire/job-data.ts";

/** The times for which a job is kept after its end, in milliseconds: one for results, one for failures. */
export interface Keep {
  readonly completed: number;
  readonly failed: number;
}

/** The retention of a submission without the option `keep`. */
export const DEFAULT_KEEP: Keep = { completed: 3_600_000, failed: 7 * 24 * 3_600_000 };

/** Returns the retention of a job. Stored data can be anything, so an invalid time counts as absent. */
export function keepOf({ keep }: Pick<JobData, "keep">): Keep {
  return {
    completed: timeOf(keep?.completed) ?? DEFAULT_KEEP.completed,
    failed: timeOf(keep?.failed) ?? DEFAULT_KEEP.failed,
  };
}

/** The end of a job, and its retention. */
export interface JobEnd {
  readonly id: string;
  readonly wasCancelled: boolean;
  /** The state under which the job is stored. A cancelled job is stored as completed. */
  readonly set: keyof Keep;
  /** The time of its removal, in milliseconds of the epoch. */
  readonly until: number;
  /** Whether the retention is the default of that state. */
  readonly isByDefault: boolean;
}

/** Returns the end of a job that has just ended in this state. */
export function endOf(
  job: Pick<BullJob, "id" | "data" | "finishedOn">,
  state: "completed" | "failed" | "cancelled",
): JobEnd {
  const set = state === "failed" ? "failed" : "completed";
  const time = keepOf(job.data)[set];
  return {
    id: job.id!,
    wasCancelled: state === "cancelled",
    set,
    until: (job.finishedOn ?? Date.now()) + time,
    isByDefault: time === DEFAULT_KEEP[set],
  };
}

/** Returns the part of a job's data that stores its retention: only the times that differ from the default. */
export function ownKeep(keep: Partial<Keep> | undefined): Pick<JobData, "keep"> {
  const own: { -readonly [State in keyof Keep]?: number } = {};
  for (const state of ["completed", "failed"] as const) {
    const time = keep?.[state];
    if (time !== undefined && time !== DEFAULT_KEEP[state]) own[state] = time;
  }
  return Object.keys(own).length === 0 ? {} : { keep: own };
}

/**
 * Returns the time after the addition of a job, in milliseconds, within which a missing record is certainly lost. Later the
 * record may have been removed: the job may have ended at once, and has the default retention if its worker died then.
 */
export function keptForCertain(data: Pick<JobData, "keep">): number {
  const { completed, failed } = keepOf(data);
  return Math.min(completed, failed, DEFAULT_KEEP.completed);
}

function timeOf(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && Number.isFinite(value) ? value : undefined;
}
