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
  /** Returns all stored data by key, or by table and row, with times that differ masked. */
  snapshot(): Promise<Readonly<Record<string, unknown>>>;
  /** Deletes the data. */
  close(): Promise<void>;
}

/** Opens a side with the settings of a sequence. `now` returns the time of the sequence. */
export type OpenSide = (settings: Settings, now: () => number) => Promise<Side>;

/**
 * The two sides of the comparison. They are open one after the other, so both can use the same names. With other names, the
 * same sets would have another order in Redis, and BullMQ removes the children of a job in this order.
 */
export interface Sides {
  readonly bullmq: OpenSide;
  readonly driver: OpenSide;
}
