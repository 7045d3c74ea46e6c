import type { JobJson, JobState } from "bullmq";
import {
  ACTIVE,
  COMPLETED,
  DELAYED,
  FAILED,
  WAITING,
  WAITING_CHILDREN,
  STATE_NAMES,
  STATE_NUMBERS,
} from "../schema/states.ts";
import type { Row, Store } from "../store/store.ts";
import { count, isMaxed } from "./claim.ts";
import { jobJson } from "./job-json.ts";
import { findJob } from "./parents.ts";

export function getJobData(store: Store, queue: string, id: string): JobJson | undefined {
  const row = findJob(store, queue, id);
  return row === undefined ? undefined : jobJson(row);
}

/** Returns BullMQ's name of a job's state; `unknown` if the job does not exist. */
export function getState(store: Store, queue: string, id: string): JobState | "unknown" {
  const row = findJob(store, queue, id);
  if (row === undefined) return "unknown";
  if (row["state"] === WAITING && Number(row["prio"]) > 0) return "prioritized";
  return STATE_NAMES[Number(row["state"])] ?? "unknown";
}

/**
 * Returns whether a job has ended, with its value or the reason of its failure. The numbers are BullMQ's: 0 for a job that
 * has not ended, 1 for a completed job, 2 for a failed job, -1 for a job that does not exist.
 */
export function isFinished(store: Store, queue: string, id: string): [number, string] {
  const row = findJob(store, queue, id);
  if (row === undefined) return [-1, `Missing key for job ${queue}:${id}. isFinished`];
  if (row["state"] === COMPLETED) return [1, String(row["return_value"] ?? "null")];
  if (row["state"] === FAILED) return [2, String(row["failed_reason"] ?? "")];
  return [0, ""];
}

/** Returns whether a job is in a state. The jobs of a paused queue are waiting, so no job is `paused`. */
export function isJobInState(store: Store, queue: string, state: string, id: string): boolean {
  const row = findJob(store, queue, id);
  const wanted = STATE_NUMBERS[state];
  if (row === undefined || wanted === undefined) return false;
  const isPrioritized = row["state"] === WAITING && Number(row["prio"]) > 0;
  if (state === "prioritized") return isPrioritized;
  return row["state"] === wanted && !isPrioritized;
}

export function isQueueMaxed(store: Store, queue: string): boolean {
  const q = store.find(queue);
  return q !== undefined && isMaxed(store, q);
}

/** Returns the number of jobs in each state. With `before`, only delayed jobs that are due before that time count. */
export function getCounts(store: Store, queue: string, states: readonly string[], before?: number): number[] {
  const q = store.find(queue);
  if (q === undefined) return states.map(() => 0);
  return states.map((state) => {
    const kind = STATE_NUMBERS[state];
    if (kind === undefined) return 0;
    if (kind === DELAYED && before !== undefined) {
      const row = store.get(
        `SELECT count(*) AS n FROM job WHERE q = ? AND state = ${DELAYED} AND due < ?`,
        q,
        before,
      );
      return Number(row?.["n"]);
    }
    return count(store, q, kind);
  });
}

export function getCountsPerPriority(store: Store, queue: string, priorities: readonly number[]): number[] {
  const q = store.find(queue);
  if (q === undefined) return priorities.map(() => 0);
  return priorities.map((priority) =>
    Number(
      store.get("SELECT count(*) AS n FROM job WHERE q = ? AND state = 0 AND prio = ?", q, priority)?.["n"],
    ),
  );
}

/** The jobs of each state, and the order in which BullMQ lists them. */
const RANGES: Readonly<Record<string, readonly [condition: string, order: (asc: boolean) => string]>> = {
  wait: [`state = ${WAITING} AND prio = 0`, () => "ord DESC"],
  prioritized: [`state = ${WAITING} AND prio > 0`, (asc) => (asc ? "prio, ord" : "prio DESC, ord DESC")],
  active: [`state = ${ACTIVE}`, () => "ord DESC"],
  delayed: [`state = ${DELAYED}`, (asc) => (asc ? "due" : "due DESC")],
  completed: [`state = ${COMPLETED}`, (asc) => (asc ? "finished" : "finished DESC")],
  failed: [`state = ${FAILED}`, (asc) => (asc ? "finished" : "finished DESC")],
  "waiting-children": [`state = ${WAITING_CHILDREN}`, () => "ord"],
};

/** Returns the ids of the jobs of each state from `start` to `end` inclusive. */
export function getRanges(
  store: Store,
  queue: string,
  states: readonly string[],
  start: number,
  end: number,
  asc: boolean,
): string[][] {
  const q = store.find(queue);
  return states.map((state) => {
    const range = RANGES[state === "waiting" ? "wait" : state];
    const from = Math.max(start, 0);
    if (q === undefined || range === undefined || (end >= 0 && end < from)) return [];
    return store
      .all(
        `SELECT id FROM job WHERE q = ? AND ${range[0]} ORDER BY ${range[1](asc)} LIMIT ? OFFSET ?`,
        q,
        end < 0 ? -1 : end - from + 1,
        from,
      )
      .map(({ id }) => String(id));
  });
}

/** A child in the records of its parent. */
export interface ChildEntry {
  readonly key: string;
  readonly status: number;
  /** JSON; null while the child is pending. */
  readonly value: string | null;
  readonly job: JobJson | undefined;
}

function childEntry(store: Store, row: Row, withJobs: boolean): ChildEntry {
  return {
    key: String(row["child_key"]),
    status: Number(row["status"]),
    value: row["value"] === null ? null : String(row["value"]),
    job: withJobs ? getJobData(store, String(row["child_queue"]), String(row["child_id"])) : undefined,
  };
}

/** Returns the children of a job: all of them, or a page of those in one state. */
export function getChildren(
  store: Store,
  queue: string,
  id: string,
  options: {
    readonly status?: number;
    readonly offset?: number;
    readonly limit?: number;
    readonly withJobs?: boolean;
  } = {},
): { readonly total: number; readonly children: ChildEntry[] } {
  const parent = findJob(store, queue, id);
  if (parent === undefined) return { total: 0, children: [] };
  const { status, offset = 0, limit = -1, withJobs = false } = options;
  const pk = Number(parent["pk"]);
  const condition = status === undefined ? "" : ` AND status = ${status}`;
  const rows = store.all(
    `SELECT * FROM child WHERE parent = ?${condition} ORDER BY child_id LIMIT ? OFFSET ?`,
    pk,
    limit,
    offset,
  );
  const total = Number(store.get(`SELECT count(*) AS n FROM child WHERE parent = ?${condition}`, pk)?.["n"]);
  return { total, children: rows.map((row) => childEntry(store, row, withJobs)) };
}

/** Returns the number of a job's children in each state: pending, processed, ignored, failed. */
export function countChildren(store: Store, queue: string, id: string): number[] {
  const counts = [0, 0, 0, 0];
  const parent = findJob(store, queue, id);
  if (parent === undefined) return counts;
  const rows = store.all(
    "SELECT status, count(*) AS n FROM child WHERE parent = ? GROUP BY status",
    Number(parent["pk"]),
  );
  for (const { status, n } of rows) counts[Number(status)] = Number(n);
  return counts;
}
