import type { Row } from "../../sql/rows.ts";

/** A connection or a pool that runs each statement once. */
export interface SqlSession {
  query(text: string, params?: readonly unknown[]): Promise<{ rows: Row[] }>;
}

/** The part of a client or a pool of pg that is used here. */
interface Connection {
  query(text: string, params?: unknown[]): Promise<{ rows: Row[] }>;
}

export function sessionOf(connection: Connection): SqlSession {
  return { query: (text, params) => connection.query(text, params && [...params]) };
}
