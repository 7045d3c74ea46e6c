/** What travels between the process's loop and the database's thread: arrays of these, plain and cheap to clone. */
export type ToThread =
  | readonly ["query", call: number, client: number, text: string, parameters: Parameter[] | undefined]
  | readonly ["release", client: number]
  | readonly ["order", call: number, order: Order];

export type FromThread =
  | readonly ["result", call: number, results: StatementResult[]]
  | readonly ["done", call: number, value: unknown]
  | readonly ["error", call: number, error: ThreadError]
  | readonly ["notification", client: number, channel: string, payload: string]
  | readonly ["fatal", reason: string];

/** Steps in a database's life; the loop's side gives them one at a time. */
export type Order =
  /** Make the folder if need be, lock it, look what is in it. */
  | { do: "prepare"; path: string }
  /** Unpack a ready data folder; false when there is no usable image. */
  | { do: "install"; image: string }
  /** Open PostgreSQL on the data folder, or on a new one beside it. */
  | { do: "start"; beside: boolean }
  /** Close PostgreSQL on the folder beside, keep an image of it, move it into place. */
  | { do: "adopt"; image: string }
  | { do: "setAddress"; address: string }
  /** Run what was sent, let go of running jobs if the database was in use, close all, free the folder. */
  | { do: "close"; handBack: boolean };

/** The client number of statements that come alone, from `pool.query`. */
export const NO_CLIENT = 0;

/** A parameter as PostgreSQL takes it: text, bytes or null. */
export type Parameter = string | Uint8Array | null;

export interface FieldDescription {
  name: string;
  tableID: number;
  columnID: number;
  dataTypeID: number;
  dataTypeSize: number;
  dataTypeModifier: number;
  format: string;
}

export interface StatementResult {
  command: string;
  /**
   * A prepared statement's slot. Its fields are sent when they are first known and then only referred to: with
   * twenty columns, cloning them costs more than the row.
   */
  slot: number | undefined;
  fields: FieldDescription[] | undefined;
  rows: (string | null)[][];
}

/** An error in a form that survives the way between threads with its class and fields. */
export interface ThreadError {
  kind: "postgres" | "embedded" | "locked" | "other";
  message: string;
  fields: Record<string, unknown>;
  stack: string | undefined;
}
