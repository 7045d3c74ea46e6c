import type { JobsOptions } from "bullmq";
import type { Backoff, ResolvedTaskOptions } from "../definition/define-task.ts";
import type { Lane } from "../lane.ts";
import type { JobData } from "../wire/job-data.ts";
import type { RemoteTask } from "./remote-task.ts";
import { type SubmitOptions, deduplicationOf } from "./submit-options.ts";

/** A job on its way to its end, as the process that waits for it knows it. */
export interface Submission {
  lane: Lane;
  id: string;
  readonly name: string;
  readonly data: JobData;
  readonly options: JobsOptions;
  /** Who waits for it here: more than one when an id that was chosen is submitted again while it is pending. */
  readonly tasks: RemoteTask<unknown>[];
  /** Whether the id was chosen by the user, so that the job may have been there, and even finished, before. */
  readonly mayExist: boolean;
  /** Milliseconds of this machine's clock after which the result is of no use. */
  readonly end: number | undefined;
  /** When the engine confirmed the job, in `performance.now()` milliseconds; undefined until then. */
  addedAt: number | undefined;
  /** Called once, when the engine has confirmed the job, or it has ended without that. */
  onSent?: ((confirmed: boolean) => void)[];
  /** The last progress that its waiters have heard of, encoded. */
  heard?: unknown;
  /** The pending submission that it became a part of: who waited for this one waits for that one. */
  joined?: Submission;
  /** What its waiters get in place of a cancellation, once its deadline has passed here. */
  expiry?: Error;
}

/** How long results and failures are kept unless the submission says otherwise, in milliseconds. */
export const keepByDefault: { readonly completed: number; readonly failed: number } = {
  completed: 3_600_000,
  failed: 7 * 24 * 3_600_000,
};

/** What a job of a task is stored with: the submission's own options, else the task's. */
export function jobOptions(task: ResolvedTaskOptions, options: SubmitOptions): JobsOptions {
  const backoff: Backoff | undefined = options.backoff ?? task.backoff;
  return {
    attempts: options.attempts ?? task.attempts,
    removeOnComplete: keepFor(options.keep?.completed ?? keepByDefault.completed),
    removeOnFail: keepFor(options.keep?.failed ?? keepByDefault.failed),
    ...(backoff === undefined ? {} : { backoff: { ...backoff } }),
    ...(options.delay === undefined ? {} : { delay: options.delay }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(options.deduplicate === undefined ? {} : { deduplication: deduplicationOf(options.deduplicate) }),
  };
}

/** For how many milliseconds BullMQ keeps a job with this option. */
export function ageOf(keep: JobsOptions["removeOnComplete"]): number {
  const age = typeof keep === "object" && "age" in keep ? keep.age : undefined;
  return age === undefined ? keepByDefault.completed : age * 1_000;
}

const kept = new Map<number, { readonly age: number }>();

/** One object for each age: a submission of many jobs makes no copy for each. */
function keepFor(milliseconds: number): { readonly age: number } {
  let keep = kept.get(milliseconds);
  if (keep === undefined) {
    keep = { age: Math.ceil(milliseconds / 1_000) };
    if (kept.size < 100) kept.set(milliseconds, keep);
  }
  return keep;
}
