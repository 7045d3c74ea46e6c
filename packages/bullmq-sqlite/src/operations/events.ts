import type { QueueEvent, Store } from "../store/store.ts";

/** The most events that one read returns. */
const MAX_READ = 100;

/** An event with its id. */
export type ReadEvent = readonly [id: number, name: string, fields: QueueEvent[1]];

/** Returns the id of the newest event of a queue. */
export function lastEvent(store: Store, queue: string): number {
  return Number(store.get("SELECT last_event FROM queue WHERE name = ?", queue)?.["last_event"] ?? 0);
}

/** Returns the events of a queue after the id `cursor`, oldest first. */
export function readEvents(store: Store, queue: string, cursor: number): ReadEvent[] {
  const q = store.find(queue);
  if (q === undefined) return [];
  const found: ReadEvent[] = [];
  const rows = store
    .prepare("SELECT last, items FROM event WHERE q = ? AND last > ? ORDER BY last")
    .iterate(q, cursor);
  for (const { last, items } of rows) {
    const events = JSON.parse(String(items)) as QueueEvent[];
    const first = Number(last) - events.length + 1;
    for (const [index, [name, fields]] of events.entries())
      if (first + index > cursor && found.length < MAX_READ) found.push([first + index, name, fields]);
    if (found.length >= MAX_READ) break;
  }
  return found;
}

/** Publishes a user's event. Returns its id. */
export function publishEvent(store: Store, queue: string, name: string, fields: QueueEvent[1]): number {
  store.require(queue);
  store.publish(queue, name, fields);
  return store.lastEventId(queue);
}

/** Removes all but the newest `kept` events. Returns the number of removed events. */
export function trimEvents(store: Store, queue: string, kept: number): number {
  const q = store.find(queue);
  if (q === undefined) return 0;
  const before = store.all("SELECT last, items FROM event WHERE q = ? ORDER BY last", q);
  const last = lastEvent(store, queue);
  let removed = 0;
  for (const row of before) {
    const end = Number(row["last"]);
    const events = JSON.parse(String(row["items"])) as QueueEvent[];
    const beyond = Math.min(events.length, last - kept - (end - events.length));
    if (beyond <= 0) continue;
    removed += beyond;
    if (beyond === events.length) store.run("DELETE FROM event WHERE q = ? AND last = ?", q, end);
    else
      store.run(
        "UPDATE event SET items = ? WHERE q = ? AND last = ?",
        JSON.stringify(events.slice(beyond)),
        q,
        end,
      );
  }
  return removed;
}
