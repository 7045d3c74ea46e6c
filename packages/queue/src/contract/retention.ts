import type { BullJob } from "./lane-queue.ts";
import type { JobData } from "../wire/job-data.ts";

/** How long what is known of a job stays after its end, in milliseconds: one time for results, one for failures. */
export interface Keep {
  readonly completed: number;
  readonly failed: number;
}

/** What holds for a submission that says nothing else. */
export const DEFAULT_KEEP: Keep = { completed: 3_600_000, failed: 7 * 24 * 3_600_000 };

/** How long a job is kept. What is stored can be anything, so a time that is none counts as not given. */
export function keepOf({ keep }: Pick<JobData, "keep">): Keep {
  return {
    completed: timeOf(keep?.completed) ?? DEFAULT_KEEP.completed,
    failed: timeOf(keep?.failed) ?? DEFAULT_KEEP.failed,
  };
}

/** How a job ended, and what follows for how long it is kept. */
export interface JobEnd {
  readonly id: string;
  readonly wasCancelled: boolean;
  /** Among which of the ended jobs it is stored: a cancelled one is among those that completed. */
  readonly set: keyof Keep;
  /** When it is to be removed. */
  readonly until: number;
  /** Whether it is kept as long as any other in that set. */
  readonly isByDefault: boolean;
}

/** The end of a job that has just ended, in this state. */
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

/** What a job has to say of it in its data: only what differs, so that an ordinary job stays small. */
export function ownKeep(keep: Partial<Keep> | undefined): Pick<JobData, "keep"> {
  const own = Object.entries(keep ?? {}).filter(
    ([state, time]) => time !== undefined && time !== DEFAULT_KEEP[state as keyof Keep],
  );
  return own.length === 0 ? {} : { keep: Object.fromEntries(own) };
}

/**
 * For how long a record that is missing was lost for certain, in milliseconds since the job was added: it may have
 * ended at once, either way, and a worker that dies in that moment leaves it with the default.
 */
export function keptForCertain(data: Pick<JobData, "keep">): number {
  const { completed, failed } = keepOf(data);
  return Math.min(completed, failed, DEFAULT_KEEP.completed);
}

function timeOf(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && Number.isFinite(value) ? value : undefined;
}
