import type { Row } from "../../sql/rows.ts";

/** A connection or a pool that runs each statement once. */
export interface SqlSession {
  query(text: string, params?: readonly unknown[]): Promise<{ rows: Row[] }>;
}
