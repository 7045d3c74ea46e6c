import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";

/** A row of a table. No column of the schema is a blob. */
export type Row = Record<string, string | number | null>;

/** An operation that BullMQ's rules refuse. The backend makes BullMQ's error of its code. */
export class Refusal extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`BullMQ error code ${code}`);
    this.code = code;
  }
}

/** An event of a queue: its name and its fields. */
export type QueueEvent = readonly [name: string, fields: Readonly<Record<string, string | number>>];

/** The number of events that a queue keeps without `streams.events.maxLen`; BullMQ's default. */
const DEFAULT_EVENTS = 10_000;

/** The most prepared statements in the cache. The package has fewer, but statements of its users count, too. */
const MAX_STATEMENTS = 500;

/** The changes of a turn that others need to know: queues with new jobs, queues with new events, and messages. */
export interface Signals {
  readonly jobs: Set<string>;
  readonly events: Set<string>;
  readonly messages: (readonly [channel: string, text: string])[];
}

/**
 * The connection of the database thread. It caches prepared statements, the ids of queues and their settings, and during a
 * turn it collects the events, the signals and the order of new jobs, which are written at the end of the turn.
 */
export class Store {
  readonly database: DatabaseSync;
  /** The number of this process among those that share the file. */
  owner = 0;
  signals: Signals = { jobs: new Set(), events: new Set(), messages: [] };
  readonly #statements = new Map<string, StatementSync>();
  readonly #queues = new Map<string, number>();
  readonly #meta = new Map<number, Map<string, string>>();
  #events = new Map<string, QueueEvent[]>();
  #ord: number | undefined;
  #ordStored = 0;
  #version = -1;

  constructor(database: DatabaseSync) {
    this.database = database;
  }

  /** Returns a prepared statement from the cache. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      if (this.#statements.size >= MAX_STATEMENTS) {
        const [oldest] = this.#statements.keys();
        this.#statements.delete(oldest!);
      }
      statement = this.database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  get(sql: string, ...params: SQLInputValue[]): Row | undefined {
    return this.prepare(sql).get(...params) as Row | undefined;
  }

  all(sql: string, ...params: SQLInputValue[]): Row[] {
    return this.prepare(sql).all(...params) as Row[];
  }

  /** Runs a statement. Returns the number of changed rows. */
  run(sql: string, ...params: SQLInputValue[]): number {
    return Number(this.prepare(sql).run(...params).changes);
  }

  /**
   * Begins a turn. If another process has changed the file since the last turn, the caches are emptied.
   *
   * @param isReading whether the turn only reads. It then neither waits for the turn of another process nor delays it.
   */
  begin(isReading = false): void {
    this.prepare(isReading ? "BEGIN" : "BEGIN IMMEDIATE").run();
    this.refresh();
    this.#ord = undefined;
    this.#events = new Map();
    this.signals = { jobs: new Set(), events: new Set(), messages: [] };
  }

  /** Empties the caches if another process has changed the file. */
  refresh(): void {
    const version = this.dataVersion();
    if (version === this.#version) return;
    this.#version = version;
    this.forgetCaches();
  }

  /** Writes the order and the events of the turn, and commits. */
  commit(): void {
    if (this.#ord !== undefined && this.#ord !== this.#ordStored)
      this.run("UPDATE sequence SET value = ? WHERE name = 'ord'", this.#ord);
    for (const [queue, events] of this.#events) this.#writeEvents(queue, events);
    this.prepare("COMMIT").run();
  }

  rollback(): void {
    this.forgetCaches();
    if (this.database.isTransaction) this.prepare("ROLLBACK").run();
  }

  /** Runs one operation of a turn. If it fails, its changes are undone, and the changes of the other operations stay. */
  operation<T>(body: () => T): T {
    this.prepare("SAVEPOINT operation").run();
    const published = new Map([...this.#events].map(([queue, events]) => [queue, events.length]));
    const posted = this.signals.messages.length;
    const ord = this.#ord;
    try {
      const result = body();
      this.prepare("RELEASE operation").run();
      return result;
    } catch (error) {
      // Some errors, such as a full disk, end the whole transaction.
      if (this.database.isTransaction) {
        this.prepare("ROLLBACK TO operation").run();
        this.prepare("RELEASE operation").run();
      }
      this.forgetCaches();
      this.#ord = ord;
      this.signals.messages.length = posted;
      for (const [queue, events] of this.#events) events.length = published.get(queue) ?? 0;
      throw error;
    }
  }

  /** Returns a number that changes when another connection has changed the file. */
  dataVersion(): number {
    return Number(this.get("PRAGMA data_version")?.["data_version"]);
  }

  forgetCaches(): void {
    this.#queues.clear();
    this.#meta.clear();
  }

  /** Returns the number of a queue; undefined if nothing was ever written to the queue. */
  find(queue: string): number | undefined {
    const known = this.#queues.get(queue);
    if (known !== undefined) return known;
    const row = this.get("SELECT q FROM queue WHERE name = ?", queue);
    if (row === undefined) return undefined;
    this.#queues.set(queue, Number(row["q"]));
    return Number(row["q"]);
  }

  /** Returns the number of a queue, which is made if it does not exist. */
  require(queue: string): number {
    const known = this.find(queue);
    if (known !== undefined) return known;
    const q = Number(this.prepare("INSERT INTO queue (name) VALUES (?)").run(queue).lastInsertRowid);
    for (let kind = 0; kind <= 6; kind++) this.run("INSERT INTO counter (q, kind) VALUES (?, ?)", q, kind);
    this.#queues.set(queue, q);
    return q;
  }

  /** Returns all settings of a queue. */
  meta(q: number): ReadonlyMap<string, string> {
    let meta = this.#meta.get(q);
    if (meta === undefined) {
      const rows = this.all("SELECT field, value FROM meta WHERE q = ?", q);
      meta = new Map(rows.map(({ field, value }) => [String(field), String(value)]));
      this.#meta.set(q, meta);
    }
    return meta;
  }

  /** Returns a setting that is a number. */
  metaNumber(q: number, field: string): number | undefined {
    const value = this.meta(q).get(field);
    return value === undefined ? undefined : Number(value);
  }

  setMeta(q: number, field: string, value: string): void {
    this.run(
      "INSERT INTO meta (q, field, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
      q,
      field,
      value,
    );
    this.#meta.delete(q);
  }

  removeMeta(q: number, field: string): number {
    this.#meta.delete(q);
    return this.run("DELETE FROM meta WHERE q = ? AND field = ?", q, field);
  }

  isPaused(q: number): boolean {
    return this.meta(q).get("paused") === "1";
  }

  /** Returns the next place in the order of waiting jobs: the last one, or with `first` the first one. */
  nextOrd(first = false): number {
    if (this.#ord === undefined) {
      this.#ordStored = Number(this.get("SELECT value FROM sequence WHERE name = 'ord'")?.["value"]);
      this.#ord = this.#ordStored;
    }
    this.#ord++;
    return first ? -this.#ord : this.#ord;
  }

  /** Returns the id of a job whose submitter chose none. */
  nextId(q: number): string {
    const row = this.get("UPDATE queue SET last_id = last_id + 1 WHERE q = ? RETURNING last_id", q);
    return String(row?.["last_id"]);
  }

  /** Wakes the workers of a queue after the commit. */
  wake(queue: string): void {
    this.signals.jobs.add(queue);
  }

  /** Sends a text to all processes after the commit. */
  post(channel: string, text: string): void {
    this.signals.messages.push([channel, text]);
  }

  /** Adds an event of a queue, which is stored with the turn. */
  publish(queue: string, name: string, fields: Readonly<Record<string, string | number>> = {}): void {
    const events = this.#events.get(queue);
    if (events === undefined) this.#events.set(queue, [[name, fields]]);
    else events.push([name, fields]);
  }

  /** Returns the id of the event that was published last. */
  lastEventId(queue: string): number {
    const stored = Number(
      this.get("SELECT last_event FROM queue WHERE name = ?", queue)?.["last_event"] ?? 0,
    );
    return stored + (this.#events.get(queue)?.length ?? 0);
  }

  /** Writes all events of a queue in a turn as one row. One row for each event would cost more than the jobs. */
  #writeEvents(queue: string, events: readonly QueueEvent[]): void {
    if (events.length === 0) return;
    const q = this.require(queue);
    const kept = this.metaNumber(q, "opts.maxLenEvents") ?? DEFAULT_EVENTS;
    const row = this.get(
      "UPDATE queue SET last_event = last_event + ? WHERE q = ? RETURNING last_event",
      events.length,
      q,
    );
    const last = Number(row?.["last_event"]);
    this.signals.events.add(queue);
    if (kept <= 0) return;
    this.run("INSERT INTO event (q, last, items) VALUES (?, ?, ?)", q, last, JSON.stringify(events));
    // Each 256 events, because a trim reads the whole index. BullMQ trims its stream as rarely.
    if (Math.floor(last / 256) !== Math.floor((last - events.length) / 256))
      this.run("DELETE FROM event WHERE q = ? AND last <= ?", q, last - kept);
  }
}
