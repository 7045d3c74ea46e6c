import { DELAYED, WAITING } from "../schema/states.ts";
import { Refusal } from "../store/store.ts";
import type { Row, Store } from "../store/store.ts";
import { ID_COLLISION, SLOTS_BUSY } from "./refusals.ts";

/** The most intervals in which a free time is searched; BullMQ's number. */
const MAX_SLOTS = 32;

/** The options of a scheduler, in the form of BullMQ's JobScheduler. */
export interface SchedulerOptions {
  readonly name?: string;
  readonly tz?: string;
  readonly pattern?: string;
  readonly every?: number;
  /** Milliseconds; null if the caller chose none. */
  readonly offset?: number | null;
  readonly startDate?: number;
  readonly endDate?: number;
  readonly limit?: number;
}

/** The options of the run that is added. */
export interface RunOptions {
  readonly priority?: number;
  readonly timestamp?: number;
  readonly repeat?: { readonly every?: number; readonly offset?: number | null };
}

interface EveryTimes {
  readonly next: number;
  readonly offset: number;
}

/** Returns the next time of an interval and its place within the interval, by BullMQ's rule. */
function nextOfInterval(
  before: number | null,
  every: number,
  now: number,
  offset: number,
  start: number | null,
): EveryTimes {
  let next: number;
  const slot = Math.floor(now / every) * every + offset;
  const aligned = slot <= now ? slot + every : slot;
  if (before !== null) next = before + every < now ? aligned : before + every;
  else if (start !== null) next = Math.max(start, now);
  else next = offset > 0 ? aligned : now;
  return { next, offset: offset === 0 ? next - Math.floor(next / every) * every : offset };
}

function find(store: Store, q: number, id: string): Row | undefined {
  return store.get("SELECT * FROM scheduler WHERE q = ? AND id = ?", q, id);
}

function numberOrNull(value: Row[string] | undefined): number | null {
  return value === null || value === undefined ? null : Number(value);
}

function runId(scheduler: string, time: number | null): string {
  return `repeat:${scheduler}:${time}`;
}

function exists(store: Store, q: number, id: string): boolean {
  return store.get("SELECT 1 AS found FROM job WHERE q = ? AND id = ?", q, id) !== undefined;
}

/** Stores a scheduler, and adds its next run in place of its waiting run. Returns the id and the delay of the run. */
export function addJobScheduler(
  store: Store,
  queue: string,
  id: string,
  nextMillis: number | null,
  templateData: string,
  templateOpts: string,
  options: SchedulerOptions,
  runOptions: RunOptions,
  now: number,
): [string, number] {
  const q = store.require(queue);
  const before = find(store, q, id);
  const previous = numberOrNull(before?.["next"]);
  const every = options.every ?? null;
  const givenOffset = options.offset ?? runOptions.repeat?.offset ?? undefined;
  let offset = givenOffset ?? 0;
  let next = nextMillis ?? 0;
  const hasOtherInterval = previous !== null && numberOrNull(before?.["every"]) !== every;
  if (every !== null) {
    const from = hasOtherInterval ? null : previous;
    const times = nextOfInterval(from, every, now, offset, numberOrNull(options.startDate ?? null));
    next = times.next;
    offset = times.offset;
  }
  const replaced =
    previous !== null &&
    store.run(
      `DELETE FROM job WHERE q = ? AND id = ? AND state IN (${DELAYED}, ${WAITING})`,
      q,
      runId(id, previous),
    ) > 0;
  if (replaced && every !== null) {
    if (!hasOtherInterval) next = previous;
    // The place within the interval is chosen with the first run, and stays while the scheduler has runs.
    const kept = numberOrNull(before?.["offset"]);
    if (givenOffset === undefined && kept !== null) offset = kept;
  }
  if (exists(store, q, runId(id, next))) {
    if (every !== null) {
      // Finished runs of an earlier scheduler of the same id can hold several times in a row.
      const last = next + MAX_SLOTS * every;
      do next += every;
      while (next < last && exists(store, q, runId(id, next)));
      if (exists(store, q, runId(id, next))) throw new Refusal(SLOTS_BUSY);
    } else if (!replaced) throw new Refusal(ID_COLLISION);
    else store.run("DELETE FROM job WHERE q = ? AND id = ?", q, runId(id, next));
  }
  store.run(
    `INSERT INTO scheduler (q, id, name, next, pattern, every, tz, start_date, end_date, count_limit, iterations, offset, template_data, template_opts)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET name = excluded.name, next = excluded.next, pattern = excluded.pattern, every = excluded.every,
        tz = excluded.tz, start_date = excluded.start_date, end_date = excluded.end_date, count_limit = excluded.count_limit,
        offset = excluded.offset, template_data = excluded.template_data, template_opts = excluded.template_opts`,
    q,
    id,
    options.name ?? null,
    next,
    options.pattern ?? null,
    every,
    options.tz ?? null,
    options.startDate ?? null,
    options.endDate ?? null,
    options.limit ?? null,
    Number(before?.["iterations"] ?? 1),
    offset,
    templateData,
    templateOpts,
  );
  return addRun(store, queue, q, id, options.name ?? "", next, templateData, runOptions, now);
}

function addRun(
  store: Store,
  queue: string,
  q: number,
  scheduler: string,
  name: string,
  time: number,
  data: string,
  options: RunOptions,
  now: number,
): [string, number] {
  const id = runId(scheduler, time);
  const delay = Math.max(time - now, 0);
  store.run(
    "INSERT INTO job (q, id, name, state, prio, ord, due, delay, data, opts, added, scheduler_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    q,
    id,
    name,
    delay > 0 ? DELAYED : WAITING,
    options.priority ?? 0,
    store.nextOrd(),
    delay > 0 ? time : null,
    delay,
    data,
    JSON.stringify({ ...options, delay, jobId: id }),
    options.timestamp ?? now,
    scheduler,
  );
  store.publish(queue, "added", { jobId: id, name });
  if (delay > 0) store.publish(queue, "delayed", { jobId: id, delay: time });
  else store.publish(queue, "waiting", { jobId: id });
  store.wake(queue);
  return [id, delay];
}

/** Adds a scheduler's next run when `producer`, the run before, starts. Returns its id; null if no run is added. */
export function updateJobScheduler(
  store: Store,
  queue: string,
  id: string,
  nextMillis: number | null,
  templateData: string,
  runOptions: RunOptions,
  now: number,
  producer: string | null,
): string | null {
  const q = store.find(queue);
  const row = q === undefined ? undefined : find(store, q, id);
  if (q === undefined || row === undefined) return null;
  const previous = numberOrNull(row["next"]);
  const every = numberOrNull(row["every"]) ?? numberOrNull(runOptions.repeat?.every ?? null);
  let next = nextMillis ?? 0;
  let offset = numberOrNull(row["offset"]);
  if (every !== null) {
    const times = nextOfInterval(
      previous,
      every,
      now,
      offset ?? runOptions.repeat?.offset ?? 0,
      numberOrNull(row["start_date"]),
    );
    next = times.next;
    offset ??= times.offset;
  }
  if (producer !== runId(id, previous)) return null;
  if (exists(store, q, runId(id, next))) {
    store.publish(queue, "duplicated", { jobId: runId(id, next) });
    return null;
  }
  const isTemplate = templateData !== "{}" && templateData !== "";
  store.run(
    "UPDATE scheduler SET next = ?, iterations = iterations + 1, offset = ?, template_data = ? WHERE q = ? AND id = ?",
    next,
    offset,
    isTemplate ? templateData : (row["template_data"] ?? null),
    q,
    id,
  );
  const stored = row["template_data"] === null ? "{}" : String(row["template_data"]);
  const data = stored !== "{}" ? stored : isTemplate ? templateData : "{}";
  return addRun(store, queue, q, id, String(row["name"] ?? ""), next, data, runOptions, now)[0];
}

/** Removes a scheduler and its delayed run. Returns false if there is no such scheduler. */
export function removeJobScheduler(store: Store, queue: string, id: string): boolean {
  const q = store.find(queue);
  const row = q === undefined ? undefined : find(store, q, id);
  if (q === undefined || row === undefined) return false;
  const run = runId(id, numberOrNull(row["next"]));
  if (store.run(`DELETE FROM job WHERE q = ? AND id = ? AND state = ${DELAYED}`, q, run) > 0)
    store.publish(queue, "removed", { jobId: run, prev: "delayed" });
  store.run("DELETE FROM scheduler WHERE q = ? AND id = ?", q, id);
  return true;
}

/** The fields of a scheduler as texts, by BullMQ's names, and the time of its next run. */
export interface StoredScheduler {
  readonly fields: Record<string, string>;
  readonly next: string | null;
}

/** BullMQ's names of the fields, by the columns of the table. */
const FIELD_NAMES: Readonly<Record<string, string>> = {
  name: "name",
  iterations: "ic",
  count_limit: "limit",
  start_date: "startDate",
  end_date: "endDate",
  tz: "tz",
  pattern: "pattern",
  every: "every",
  offset: "offset",
};

export function getJobScheduler(store: Store, queue: string, id: string): StoredScheduler | undefined {
  const q = store.find(queue);
  const row = q === undefined ? undefined : find(store, q, id);
  if (row === undefined) return undefined;
  const fields: Record<string, string> = {};
  for (const [column, name] of Object.entries(FIELD_NAMES))
    if (row[column] !== null) fields[name] = String(row[column]);
  for (const [column, name] of [
    ["template_data", "data"],
    ["template_opts", "opts"],
  ] as const) {
    if (row[column] !== null && row[column] !== "{}") fields[name] = String(row[column]);
  }
  return { fields, next: row["next"] === null ? null : String(row["next"]) };
}

/** Returns the ids and times of schedulers, alternating, ordered by their next run. */
export function getJobSchedulersRange(
  store: Store,
  queue: string,
  start: number,
  end: number,
  ascending: boolean,
): string[] {
  const q = store.find(queue);
  if (q === undefined) return [];
  return store
    .all(
      `SELECT id, next FROM scheduler WHERE q = ? ORDER BY next ${ascending ? "ASC" : "DESC"}, id LIMIT ? OFFSET ?`,
      q,
      end < 0 ? -1 : end - start + 1,
      Math.max(start, 0),
    )
    .flatMap(({ id, next }) => [String(id), String(next)]);
}

export function countJobSchedulers(store: Store, queue: string): number {
  const q = store.find(queue);
  return q === undefined ? 0 : Number(store.get("SELECT count(*) AS n FROM scheduler WHERE q = ?", q)?.["n"]);
}
