import type { Claim, Claimed } from "../operations/claim.ts";

/** An operation on its way to the database thread. */
export type SentOperation = readonly [id: number, name: string, args: readonly unknown[]];

/** A message to the database thread. */
export type DatabaseRequest =
  /** A worker of this process waits for a job of a queue. */
  | { readonly kind: "await"; readonly id: number; readonly queue: string; readonly claim: Claim }
  /** A worker waits no more. Operation `id` returns whether it still waited. */
  | { readonly kind: "endAwait"; readonly id: number; readonly awaited: number }
  /** The process waits for events from now on, so other processes have to send news of them. */
  | { readonly kind: "listen" }
  | { readonly kind: "turn"; readonly operations: readonly SentOperation[]; readonly now: number }
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
      readonly events: readonly string[];
      /** The texts that the operations have posted. */
      readonly messages?: readonly PostedMessage[];
    }
  /** Another process has published events of these queues. Without a list it may have, of any queue. */
  | {
      readonly kind: "changed";
      readonly events?: readonly string[];
      readonly messages?: readonly PostedMessage[];
    }
  /** News for workers that wait. */
  | { readonly kind: "claimed"; readonly claims: readonly SentClaim[] }
  | { readonly kind: "closed" };

/**
 * News for a worker that waits: the job that was claimed for it, or the time at which the next delayed job is due. If
 * there is neither, the worker has to ask by itself.
 */
export type SentClaim = readonly [id: number, claimed?: Claimed];

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
  /** The number of a process that waits for events, and wants to know of them. */
  readonly listener?: number;
}
