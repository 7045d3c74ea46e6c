import type { EntryRaw, StreamReadRaw } from "bullmq";
import { Bell } from "../database/bell.ts";
import type { Database } from "../database/database.ts";
import type { ReadEvent } from "../operations/events.ts";
import type { QueueOperations } from "./queue-operations.ts";

/** The time for which a read waits for events if BullMQ names none. */
const DEFAULT_WAIT_MS = 5_000;

/** Reads the events of a queue, in the form of an entry of a Redis stream. */
export class EventReader {
  readonly #operations: QueueOperations;
  readonly #bell: Bell;

  constructor(database: Database, operations: QueueOperations) {
    this.#operations = operations;
    this.#bell = new Bell(database, operations.queue);
  }

  /**
   * Returns the events after an id, `$` being the newest one. Waits for the next event if there is none.
   *
   * @returns null if no event came in time, or the backend was closed.
   */
  async read(id: string, waitMs: number): Promise<StreamReadRaw> {
    const operations = this.#operations;
    const { queue } = operations;
    if (operations.isOver) return null;
    const cursor = id === "$" ? await operations.run("lastEvent", queue) : Number(id.split("-", 1)[0]);
    let events = await operations.run("readEvents", queue, cursor);
    if (events.length === 0 && !operations.isOver) {
      await this.#bell.wait(waitMs > 0 ? waitMs : DEFAULT_WAIT_MS, async () => {
        events = await operations.run("readEvents", queue, cursor);
        return events.length > 0;
      });
      if (operations.isOver) return null;
      if (events.length === 0) events = await operations.run("readEvents", queue, cursor);
    }
    return events.length === 0 ? null : [["events", events.map(entryOf)]];
  }

  /** Ends the current wait. */
  cancel(): void {
    this.#bell.cancel();
  }
}

function entryOf([id, name, fields]: ReadEvent): EntryRaw {
  const texts = Object.entries(fields).flatMap(([key, value]) => [key, String(value)]);
  return [String(id), ["event", name, ...texts]];
}
