/** What PostgreSQL answers, for the table, its type or their catalogue, when another process makes it in the same moment. */
const madeMeanwhile = new Set(["42P07", "42710", "23505"]);

/** The server's time in milliseconds of the epoch, in SQL: clocks of clients differ. */
export const now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/** Waits for a table of our own to be made, here or by another process. */
export async function unlessMadeMeanwhile(making: Promise<unknown>): Promise<void> {
  try {
    await making;
  } catch (error) {
    if (!madeMeanwhile.has((error as { code?: string }).code ?? "")) throw error;
  }
}
