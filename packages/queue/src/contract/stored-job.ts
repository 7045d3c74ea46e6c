import type { FinishedRecord } from "../wire/outcome.ts";

/** The state of a stored job, for its submitter. */
export type StoredJob =
  | { readonly kind: "missing" }
  | { readonly kind: "pending" }
  | {
      readonly kind: "finished";
      readonly record: FinishedRecord;
      readonly attempts: number;
      /** The last progress, encoded; undefined or null if the job reported none. */
      readonly progress: unknown;
    };

/** A submission that waits for the job of its deduplication key to end (`keepLastIfActive`). It is no job yet. */
export interface KeptSubmission {
  /** The id that its job will have. */
  readonly id: string;
  /** The address that receives its outcome. */
  readonly reply: string | undefined;
}
