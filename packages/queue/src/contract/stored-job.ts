import type { FinishedRecord } from "../wire/outcome.ts";

/** A stored job as a client sees it. */
export type StoredJob =
  | { readonly kind: "missing" }
  | { readonly kind: "pending" }
  | {
      readonly kind: "finished";
      readonly record: FinishedRecord;
      readonly attempts: number;
      /** The last that it reported, encoded; undefined or null when it did not. */
      readonly progress: unknown;
    };

/** A submission that waits for the job of its deduplication key to end (`keepLastIfActive`). It is no job yet. */
export interface KeptSubmission {
  /** The id that its job will have. */
  readonly id: string;
  /** Where its outcome is to be sent. */
  readonly reply: string | undefined;
}
