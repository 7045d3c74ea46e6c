import type { SqliteLane } from "./sqlite-lane.ts";

/** The tables of a lane, and the columns that order their rows. */
const TABLES = {
  queue: "q",
  counter: "q, kind",
  meta: "q, field",
  job: "q, pk",
  metric: "q, kind",
  rate_limit: "q",
  dedup: "q, dedup_id",
  scheduler: "q, id",
} as const;

/** The tables without a queue. Each sequence begins with empty ones. */
const OTHER_TABLES = { sequence: "name", child: "parent, child_key", log: "job, idx" } as const;

/** BullMQ's number of the events that a queue keeps. */
const DEFAULT_EVENTS = 10_000;

/**
 * Returns all rows of the lanes of a sequence.
 *
 * @param maxEvents the number of events that are compared, from the last one on. A trim removes whole rows, whose events are
 * those of one transaction.
 */
export async function sqliteSnapshot(
  { queue, other, database }: SqliteLane,
  maxEvents = DEFAULT_EVENTS,
): Promise<Record<string, unknown>> {
  const lanes = [queue.name, other];
  const own = "q IN (SELECT q FROM queue WHERE name IN (?, ?))";
  const names = [...Object.keys(TABLES), ...Object.keys(OTHER_TABLES), "event"];
  const results = await database.statements([
    ...Object.entries(TABLES).map(
      ([table, order]) => [`SELECT * FROM ${table} WHERE ${own} ORDER BY ${order}`, lanes] as const,
    ),
    ...Object.entries(OTHER_TABLES).map(
      ([table, order]) => [`SELECT * FROM ${table} ORDER BY ${order}`] as const,
    ),
    [`SELECT q, items FROM event WHERE ${own} ORDER BY q, last`, lanes],
  ]);
  const tables = Object.fromEntries(
    results.map(({ rows }, index) => [names[index]!, rows.map((row) => ({ ...row }))]),
  );
  const events = new Map<unknown, unknown[]>();
  for (const { q, items } of tables["event"]!) {
    const added: unknown[] = JSON.parse(String(items));
    events.set(q, [...(events.get(q) ?? []), ...added]);
  }
  const last = [...events].map(([q, all]) => [q, all.slice(-maxEvents)]);
  return { ...tables, event: last };
}

/** Removes the rows by which the data of the next sequence would depend on the names and numbers of this one. */
export async function removeRows({ database }: SqliteLane): Promise<void> {
  // The queues stay: the database thread knows their numbers and their settings.
  const tables = ["job", "child", "log", "event"];
  await database.statements([
    ...tables.map((table) => [`DELETE FROM ${table}`] as const),
    ["UPDATE sequence SET value = 0"],
  ]);
}
