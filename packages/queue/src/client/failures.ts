import type { LaneJob } from "../engines/lane-queue.ts";
import { type Lane, publicId } from "../lane.ts";
import { decodeError } from "../wire/decode.ts";
import { outcomeOf } from "../wire/outcome.ts";

/** A job that failed for good. */
export interface FailedJob {
  readonly id: string;
  readonly lane: Lane;
  readonly attempts: number;
  /** Milliseconds of the epoch. */
  readonly failedAt: number;
  readonly error: unknown;
}

/** Jobs of one task that failed with the same error, give or take the numbers and ids in its message. */
export interface FailureGroup {
  readonly task: string;
  /** The error's class. */
  readonly name: string;
  /** The message of the latest one. */
  readonly message: string;
  readonly count: number;
  /** The latest first. */
  readonly jobs: readonly FailedJob[];
}

export function failedJob(lane: Lane, job: LaneJob): FailedJob {
  const { failedReason, stacktrace, attemptsMade, finishedOn } = job;
  const outcome = outcomeOf({
    failed: true,
    returnvalue: undefined,
    failedReason,
    stacktrace: stacktrace ?? [],
  });
  return {
    id: publicId(lane, job.id as string),
    lane,
    attempts: attemptsMade,
    failedAt: finishedOn ?? 0,
    error: outcome.state === "failed" ? decodeError(outcome.error) : undefined,
  };
}

/** Groups failures; the group that grew last comes first. */
export function groupFailures(
  failures: readonly { readonly task: string; readonly job: FailedJob }[],
): FailureGroup[] {
  const groups = new Map<string, { task: string; name: string; message: string; jobs: FailedJob[] }>();
  for (const { task, job } of failures.toSorted((a, b) => b.job.failedAt - a.job.failedAt)) {
    const { name, message } =
      job.error instanceof Error ? job.error : { name: "thrown", message: String(job.error) };
    const key = JSON.stringify([task, name, kindOf(message)]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { task, name, message, jobs: [job] });
    else group.jobs.push(job);
  }
  return [...groups.values()].map((group) => Object.assign(group, { count: group.jobs.length }));
}

/** What a message says apart from the case at hand: numbers, ids and quoted values stand for any. */
function kindOf(message: string): string {
  return message.replaceAll(/"[^"]*"|'[^']*'|[\da-f]{8}-[\da-f-]{27}|0x[\da-f]+|\d+/gi, "#");
}
