import type { JobsOptions } from "bullmq";
import type { Backoff } from "../definition/backoff.ts";
import type { ResolvedTaskOptions } from "../definition/define-task.ts";
import { laneOfJobId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { JobData } from "../wire/job-data.ts";
import type { RemoteTask } from "./remote-task.ts";
import { deduplicationOf } from "./submit-options.ts";
import type { SubmitOptions } from "./submit-options.ts";

/** The state of a {@link Submission}, which describes each one. */
export type SubmissionState =
  | { readonly kind: "unsent" | "sending" }
  | {
      readonly kind: "stored";
      /** When the engine confirmed the job, in `performance.now()` milliseconds. */
      readonly since: number;
      /** When the record was first found missing, in the same milliseconds; undefined if it never was. */
      readonly missedAt: number | undefined;
    }
  | { readonly kind: "joined"; readonly into: Submission }
  | { readonly kind: "ended" };

export const UNSENT: SubmissionState = { kind: "unsent" };
export const SENDING: SubmissionState = { kind: "sending" };
export const ENDED: SubmissionState = { kind: "ended" };

/** Returns the state of submissions that the engine has just confirmed; one object serves a whole batch. */
export function storedNow(): SubmissionState {
  return { kind: "stored", since: performance.now(), missedAt: undefined };
}

/** The job of a submission. */
export interface SubmittedJob {
  readonly lane: Lane;
  /** The name of the task. */
  readonly name: string;
  readonly data: JobData;
  readonly options?: JobsOptions;
  /** The limits whose lines the job enters before it is added; undefined for a job without limits. */
  readonly limits?: readonly string[] | undefined;
  /** Whether the user chose the id: the job may then exist already, and may even have ended. */
  readonly mayExist: boolean;
  /** The time after which the result is of no use, in milliseconds of this machine's clock. */
  readonly deadlineAt?: number | undefined;
  /** The tasks of the children of a flow's parent. */
  readonly children?: readonly RemoteTask<unknown>[] | undefined;
}

/**
 * A job as its submitter knows it, from `submit` to its end. Only {@link Submission.change} changes the state:
 *
 * - `unsent`: the submission waits for the end of the turn, or for the children of a flow that the engine has lost.
 *   Only this process knows of the job, so a cancel takes the submission back.
 * - `sending`: a command with the job is on its way, or is repeated after a pause. The engine may have the job or not,
 *   so a cancel waits for the answer.
 * - `stored`: the engine confirmed the job. Replies and the stored state decide its end. A record that is missing while
 *   it should be kept was lost, and the submission becomes `unsent` again.
 * - `joined`: the job turned out to be that of another pending submission, which has the waiters now.
 * - `ended`: the waiters have the outcome.
 */
export class Submission {
  #lane: Lane;
  #id: string;
  readonly name: string;
  readonly data: JobData;
  readonly options: JobsOptions;
  readonly mayExist: boolean;
  readonly deadlineAt: number | undefined;
  readonly children: readonly RemoteTask<unknown>[] | undefined;
  readonly limits: readonly string[] | undefined;
  /** The waiters in this process. There are several if a chosen id is submitted again while its job is pending. */
  readonly tasks: RemoteTask<unknown>[];
  /** Whether the job was sent before, and may have arrived. */
  mayHaveArrived = false;
  /** The last progress that the waiters received, encoded. */
  lastProgress: unknown;
  /** The error of the waiters in place of a cancellation, once the deadline has passed here. */
  expiry: Error | undefined;
  #state = UNSENT;
  /** The calls that wait until the engine has confirmed the job. */
  #onConfirmed: ((isConfirmed: boolean) => void)[] | undefined;

  constructor(remote: RemoteTask<unknown>, job: SubmittedJob) {
    this.#lane = job.lane;
    this.#id = remote.id;
    this.name = job.name;
    this.data = job.data;
    this.options = job.options ?? {};
    this.mayExist = job.mayExist;
    this.deadlineAt = job.deadlineAt;
    this.children = job.children;
    this.limits = job.limits;
    this.tasks = [remote];
  }

  get lane(): Lane {
    return this.#lane;
  }

  get id(): string {
    return this.#id;
  }

  get state(): SubmissionState {
    return this.#state;
  }

  /** Whether the engine has confirmed the job, and the job has not ended. */
  get isStored(): boolean {
    return this.#state.kind === "stored";
  }

  /** Changes the id to that of the job that the submission turned out to be, for its waiters, too. */
  rebind(id: string): void {
    for (const task of this.tasks) task.rebind(id);
    this.#id = id;
    this.#lane = laneOfJobId(id) ?? this.#lane;
  }

  /** Changes the state. A submission that was joined or has ended keeps its state. */
  change(next: SubmissionState): void {
    const { kind } = this.#state;
    if (kind === "joined" || kind === "ended") return;
    this.#state = next;
    if (this.#onConfirmed === undefined || next.kind === "unsent" || next.kind === "sending") return;
    const waiting = this.#onConfirmed;
    this.#onConfirmed = undefined;
    if (next.kind === "joined") for (const resolve of waiting) void next.into.confirmed().then(resolve);
    else for (const resolve of waiting) resolve(next.kind === "stored");
  }

  /** Resolves with true when the engine has confirmed the job, and with false when it has ended without that. */
  async confirmed(): Promise<boolean> {
    switch (this.#state.kind) {
      case "stored":
        return true;
      case "ended":
        return false;
      case "joined":
        return await this.#state.into.confirmed();
      default:
        return await new Promise((resolve) => (this.#onConfirmed ??= []).push(resolve));
    }
  }
}

/** Returns BullMQ's options of a job: the options of the submission, and for the others those of the task. */
export function jobOptions(task: ResolvedTaskOptions, options: SubmitOptions): JobsOptions {
  // A function stays with the task: the worker calls it.
  const own = typeof task.backoff === "function" ? undefined : task.backoff;
  const backoff: Backoff | undefined = options.backoff ?? own;
  return {
    attempts: options.attempts ?? task.attempts,
    ...(backoff === undefined ? {} : { backoff: { ...backoff } }),
    ...(options.delay === undefined ? {} : { delay: options.delay }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(options.deduplicate === undefined ? {} : { deduplication: deduplicationOf(options.deduplicate) }),
  };
}
