import type { JobsOptions } from "bullmq";
import type { Lane } from "../lane.ts";
import type { JobData } from "../wire/job-data.ts";
import type { RemoteTask } from "./remote-task.ts";

/** What may be said of one submission; what is left out comes from the task's definition. */
export interface SubmitOptions {
  /** Milliseconds before the job may start. */
  readonly delay?: number;
  /** 1 to 2,097,151, smaller first. Jobs without a priority go before all that have one. */
  readonly priority?: number;
  /** How often it is tried in all. */
  readonly attempts?: number;
  /** Milliseconds that one attempt may run. */
  readonly timeout?: number;
  /** Milliseconds from now after which the result is of no use: the job is not started any more, or stopped. */
  readonly deadline?: number;
  /** A name of your own for the job: submitting it again while it is kept gives the same job, not a second one. */
  readonly id?: string;
  /** How long what is known of the job stays after its end, in milliseconds. */
  readonly keep?: { readonly completed?: number; readonly failed?: number };
}

/** A job on its way to its end, as the process that waits for it knows it. */
export interface Submission {
  readonly lane: Lane;
  readonly id: string;
  readonly name: string;
  readonly data: JobData;
  readonly options: JobsOptions;
  /** Who waits for it here: more than one when an id that was chosen is submitted again while it is pending. */
  readonly tasks: RemoteTask<unknown>[];
  /** Whether the id was chosen by the user, so that the job may have been there, and even finished, before. */
  readonly mayExist: boolean;
  /** When the engine confirmed the job, in `performance.now()` milliseconds; undefined until then. */
  addedAt: number | undefined;
  /** Called once, when the engine has confirmed the job, or it has ended without that. */
  onSent?: ((confirmed: boolean) => void)[];
  /** What its waiters get in place of a cancellation, once its deadline has passed here. */
  expiry?: Error;
}

/** How long results and failures are kept unless the submission says otherwise, in milliseconds. */
export const keepByDefault: { readonly completed: number; readonly failed: number } = {
  completed: 3_600_000,
  failed: 7 * 24 * 3_600_000,
};
