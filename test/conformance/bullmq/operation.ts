import type { KeepJobs } from "bullmq";

/** A job to add. `parent` is the id of a job of the main lane. */
export interface AddedJob {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly opts: Readonly<Record<string, unknown>>;
  readonly parent?: string | undefined;
}

/** A job of a flow; `lane` is the lane of a parent. Children are in the main lane. */
export interface FlowNode extends AddedJob {
  readonly lane: Lane;
  readonly children: readonly FlowNode[];
}

/** The lane that is compared in full, and a lane that only has parents. */
export type Lane = "main" | "other";

export interface End {
  readonly id: string;
  readonly token: string;
  readonly outcome: "completed" | "failed";
  readonly text: string;
  readonly stacktrace: string | undefined;
  /** How long before the turn the job ended, in milliseconds. */
  readonly ago: number;
  readonly keep: KeepJobs;
  readonly attempts: number;
}

export interface Claim {
  readonly count: number;
  readonly token: string;
  readonly workerName: string | undefined;
}

/** The job that an operation names, and the token of its lock. */
interface OnJob {
  readonly id: string;
  readonly token: string;
}

/** One step of a sequence. Both sides execute the same operations. */
export type Operation =
  | { readonly kind: "add"; readonly jobs: readonly AddedJob[] }
  | { readonly kind: "flow"; readonly flow: FlowNode }
  | { readonly kind: "turn"; readonly ends: readonly End[]; readonly claim: Claim | undefined }
  | { readonly kind: "advance"; readonly milliseconds: number }
  /** Puts a marker of BullMQ 4 into the list of waiting jobs, which only Redis has. */
  | { readonly kind: "old marker"; readonly isNext: boolean }
  | { readonly kind: "pause" | "resume" | "remove limits" }
  | { readonly kind: "expire limit" | "recover stalled" }
  | { readonly kind: "limit rate"; readonly max: number; readonly duration: number }
  | { readonly kind: "limit concurrency"; readonly count: number }
  | { readonly kind: "clean"; readonly state: "completed" | "failed" | "delayed" | "wait" }
  | ({ readonly kind: "remove" | "promote" | "retry" | "log" | "put back" } & OnJob)
  /** Spoils the data of Redis: the priority of a record, or a place in the list of active jobs. */
  | ({ readonly kind: "lose lock" | "lose priority" | "leave active list" } & OnJob)
  | ({ readonly kind: "retry later" | "change delay"; readonly delay: number } & OnJob)
  | ({ readonly kind: "change priority"; readonly priority: number; readonly lifo: boolean } & OnJob);

/** The settings of one sequence. */
export interface Settings {
  /** The rate limit of the worker. */
  readonly limiter: { readonly max: number; readonly duration: number } | undefined;
  /** How many points of the metrics the worker keeps. */
  readonly metrics: number | undefined;
  /** About how many events the lane keeps; undefined for BullMQ's default. */
  readonly maxEvents: number | undefined;
}
