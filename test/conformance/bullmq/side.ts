import type { Operation, Settings } from "./operation.ts";

/** The answer to an operation, in a form that both sides share: ids, codes of errors, records. */
export interface Answer {
  /** The ids or the errors of an addition, the codes of refused ends, or the error of another operation. */
  readonly results: readonly unknown[];
  /** The jobs that a turn claimed, with their records. */
  readonly claimed: readonly { readonly id: string; readonly record: unknown }[];
  readonly isLimited: boolean;
  readonly nextDue: number;
}

/** One way to execute operations, on data of its own. */
export interface Side {
  apply(operation: Operation): Promise<Answer>;
  /** Returns all stored data by key, or by table and row, without the side's own names. Times that differ are masked. */
  snapshot(): Promise<Readonly<Record<string, unknown>>>;
  /** Deletes the data. */
  close(): Promise<void>;
}

/** The two sides of the comparison. */
export interface Sides {
  readonly bullmq: Side;
  readonly driver: Side;
}

/** Opens both sides with data of their own. `now` returns the time of the sequence. */
export type OpenSides = (settings: Settings, now: () => number) => Promise<Sides>;
