import type { Lane } from "@taskloom/queue";
import { type JobData, decodeError, outcomeOf } from "@taskloom/queue/operating";
import type { Job } from "bullmq";
import type { ErrorView, JobState, JobView } from "./operations.ts";

/** A stored BullMQ job as a JobView. `state` saves a look when the caller knows it. */
export async function viewJob(job: Job, queue: string, lane: Lane, state?: string): Promise<JobView> {
  const data = job.data as JobData;
  return {
    id: job.id as string,
    task: job.name,
    queue,
    lane,
    ...end(job, state ?? (await job.getState())),
    attempts: job.attemptsMade,
    maxAttempts: job.opts.attempts ?? 1,
    args: data.args ?? [],
    ...(data.pack === true ? { calls: data.args.length } : {}),
    ...(isEmpty(job.progress) ? {} : { progress: job.progress }),
    submittedAt: job.timestamp,
    ...(job.processedOn == null ? {} : { startedAt: job.processedOn }),
    ...(job.finishedOn == null ? {} : { finishedAt: job.finishedOn }),
  };
}

function isEmpty(progress: unknown): boolean {
  // BullMQ's own "none yet".
  return (
    progress === 0 ||
    (typeof progress === "object" && progress !== null && Object.keys(progress).length === 0)
  );
}

function end(job: Job, state: string): Pick<JobView, "state" | "value" | "error" | "reason"> {
  if (state !== "completed" && state !== "failed") return { state: plainState(state) };
  const outcome = outcomeOf({
    failed: state === "failed",
    returnvalue: job.returnvalue,
    failedReason: job.failedReason,
    stacktrace: job.stacktrace ?? [],
  });
  switch (outcome.state) {
    case "completed":
      return { state: "completed", value: outcome.value };
    case "failed":
      return { state: "failed", error: viewError(decodeError(outcome.error)) };
    case "cancelled":
      return outcome.message === undefined
        ? { state: "cancelled" }
        : { state: "cancelled", reason: outcome.message };
  }
}

function plainState(state: string): JobState {
  if (state === "prioritized" || state === "paused") return "waiting";
  return state as JobState;
}

/** An error as it is shown: what people read, and no more. */
export function viewError(error: unknown): ErrorView {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { code } = error as { code?: unknown };
  return {
    name: error.name,
    message: error.message,
    ...(typeof code === "string" ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: error.stack }),
  };
}
