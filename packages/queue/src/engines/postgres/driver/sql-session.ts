import type { Row } from "../../sql/rows.ts";

/** A connection or a pool that runs each statement once. */
export interface SqlSession {
  /** @param name the name under which each connection prepares the statement once; without it, it is planned at each call. */
  query(text: string, params?: readonly unknown[], name?: string): Promise<{ rows: Row[] }>;
}

/** The part of a client or a pool of pg that is used here. */
interface Connection {
  query(text: string | Prepared, params?: unknown[]): Promise<{ rows: Row[] }>;
}

interface Prepared {
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
}

export function sessionOf(connection: Connection): SqlSession {
  return {
    query: (text, params, name) =>
      name === undefined
        ? connection.query(text, params && [...params])
        : connection.query({ name, text, values: [...(params ?? [])] }),
  };
}
