import { codeOf } from "../../error-code.ts";

/** The codes of PostgreSQL for a table, its type or their catalogue that another process creates at the same time. */
const CREATED_MEANWHILE: ReadonlySet<unknown> = new Set(["42P07", "42710", "23505"]);

/** The server's time in milliseconds of the epoch, in SQL. The clocks of clients differ. */
export const NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/** Waits until a table of our own exists, whether this process or another one creates it. */
export async function unlessCreatedMeanwhile(creating: Promise<unknown>): Promise<void> {
  try {
    await creating;
  } catch (error) {
    if (!CREATED_MEANWHILE.has(codeOf(error))) throw error;
  }
}
