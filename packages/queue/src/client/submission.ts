import type { JobsOptions } from "bullmq";
import type { Backoff, ResolvedTaskOptions } from "../definition/define-task.ts";
import type { Lane } from "../contract/lane.ts";
import type { JobData } from "../wire/job-data.ts";
import type { RemoteTask } from "./remote-task.ts";
import { deduplicationOf } from "./submit-options.ts";
import type { SubmitOptions } from "./submit-options.ts";

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
  /** What a flow's parent waits for. */
  readonly children?: readonly RemoteTask<unknown>[];
  /** When the engine confirmed the job, in `performance.now()` milliseconds; undefined until then. */
  addedAt: number | undefined;
  /** When its record was first found missing, in `performance.now()` milliseconds; its reply may still be on its way. */
  missedAt?: number;
  /** Whether it was sent before, and may have arrived. */
  wasSent?: true;
  /** Called once, when the engine has confirmed the job, or it has ended without that. */
  onSent?: ((confirmed: boolean) => void)[];
  /** The last progress that its waiters have heard of, encoded. */
  heard?: unknown;
  /** The pending submission that it became a part of: who waited for this one waits for that one. */
  joined?: Submission;
  /** What its waiters get in place of a cancellation, once its deadline has passed here. */
  expiry?: Error;
}

/** What a job of a task is stored with: the submission's own options, else the task's. */
export function jobOptions(task: ResolvedTaskOptions, options: SubmitOptions): JobsOptions {
  const backoff: Backoff | undefined = options.backoff ?? task.backoff;
  return {
    attempts: options.attempts ?? task.attempts,
    ...(backoff === undefined ? {} : { backoff: { ...backoff } }),
    ...(options.delay === undefined ? {} : { delay: options.delay }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(options.deduplicate === undefined ? {} : { deduplication: deduplicationOf(options.deduplicate) }),
  };
}
