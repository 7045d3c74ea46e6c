/** An operation as it travels to the database thread. */
export type SentOperation = readonly [id: number, name: string, args: readonly unknown[]];

/** A message of the main thread. */
export type DatabaseRequest =
  | { readonly kind: "turn"; readonly operations: readonly SentOperation[] }
  | { readonly kind: "post"; readonly messages: readonly PostedMessage[] }
  | { readonly kind: "backup"; readonly id: number; readonly path: string }
  | { readonly kind: "close" };

/** A message from one process to the others of its file: a channel and a text. It is not stored, and can be lost. */
export type PostedMessage = readonly [channel: string, text: string];

/** Why an operation failed: BullMQ's code, or an error of SQLite with its code. */
export type SentFailure =
  | { readonly refusal: number }
  | { readonly message: string; readonly code: string | undefined; readonly errcode: number | undefined };

/** The result of an operation, as it travels back. */
export type SentResult = readonly [id: number, failure: SentFailure | undefined, value?: unknown];

/** A message of the database thread. */
export type DatabaseReply =
  | { readonly kind: "open"; readonly sqlite: string; readonly processId: number }
  | { readonly kind: "refused"; readonly code: string; readonly message: string }
  | {
      readonly kind: "turn";
      readonly results: readonly SentResult[];
      readonly jobs: readonly string[];
      readonly events: readonly string[];
    }
  /** Another process has changed these queues; undefined: it may have changed any. */
  | ({ readonly kind: "changed" } & Change)
  | { readonly kind: "closed" };

/** How a database is opened. */
export interface OpenOptions {
  readonly path: string;
  /** `full`: a commit is on the disk before it is acknowledged. `normal`: a power failure may lose the last commits. */
  readonly sync: "full" | "normal";
}

/** Queues that changed, as it travels between processes: a line of JSON. */
export interface Change {
  readonly jobs?: readonly string[];
  readonly events?: readonly string[];
  readonly messages?: readonly PostedMessage[];
}
