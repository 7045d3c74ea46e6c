/** An operation on its way to the database thread. */
export type SentOperation = readonly [id: number, name: string, args: readonly unknown[]];

/** A message to the database thread. */
export type DatabaseRequest =
  | { readonly kind: "turn"; readonly operations: readonly SentOperation[] }
  | { readonly kind: "post"; readonly messages: readonly PostedMessage[] }
  | { readonly kind: "backup"; readonly id: number; readonly path: string }
  | { readonly kind: "close" };

/** A channel and a text that one process sends to the other processes of its file. It is not stored and can be lost. */
export type PostedMessage = readonly [channel: string, text: string];

/** The reason of a failed operation: BullMQ's code, or an error of SQLite with its codes. */
export type SentFailure =
  | { readonly refusal: number }
  | { readonly message: string; readonly code: string | undefined; readonly errcode: number | undefined };

/** The result of an operation on its way back. */
export type SentResult = readonly [id: number, failure: SentFailure | undefined, value?: unknown];

/** A message from the database thread. */
export type DatabaseReply =
  | { readonly kind: "open"; readonly sqlite: string; readonly processId: number }
  | { readonly kind: "refused"; readonly code: string; readonly message: string }
  | {
      readonly kind: "turn";
      readonly results: readonly SentResult[];
      readonly jobs: readonly string[];
      readonly events: readonly string[];
    }
  /** Another process has changed these queues. Without a list it may have changed any queue. */
  | ({ readonly kind: "changed" } & Change)
  | { readonly kind: "closed" };

/** The options with which a database is opened. */
export interface OpenOptions {
  readonly path: string;
  /** With `full`, a commit is on the disk before it is acknowledged. With `normal`, a power failure may lose commits. */
  readonly sync: "full" | "normal";
}

/** The changed queues of a turn, and its messages. Processes send each other one change per line, as JSON. */
export interface Change {
  readonly jobs?: readonly string[];
  readonly events?: readonly string[];
  readonly messages?: readonly PostedMessage[];
}
