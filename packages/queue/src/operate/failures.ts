import type { Engine } from "../contract/engine.ts";
import { bytesRead } from "../contract/job-record.ts";
import type { FieldLimits } from "../contract/job-record.ts";
import type { Lane } from "../contract/lane.ts";
import { readSnapshot } from "./job-snapshot.ts";
import type { JobSnapshot } from "./job-snapshot.ts";
import { readBlock } from "./list-jobs.ts";
import { JobWalk } from "./job-walk.ts";
import { pages } from "./pages.ts";

/** The bytes that are read of each field of a failure. Of a larger error, the message alone is read. */
export const FAILURE_LIMITS: FieldLimits = { stacktrace: 65_536, failedReason: 4_096 };
/** A page ends with the block that reaches this number of bytes. */
const PAGE_BYTES = 16 * 1_048_576;
/** The number of jobs in a block. */
const MAX_BLOCK = 100;

/** A job that failed for good. */
export interface FailedJob {
  readonly id: string;
  readonly lane: Lane;
  readonly attempts: number;
  /** Milliseconds of the epoch. */
  readonly failedAt: number;
  readonly error: unknown;
}

/** The jobs of one task that failed with the same error, apart from the numbers and ids in its message. */
export interface FailureGroup {
  readonly task: string;
  /** The class of the error. */
  readonly name: string;
  /** The message of the latest job. */
  readonly message: string;
  /** The number of jobs in the group. */
  readonly count: number;
  /** The latest jobs, the latest first; `failed({ limit })` limits their number. */
  readonly jobs: readonly FailedJob[];
}

/** One page of a walk through all failed jobs. */
export interface FailurePage {
  readonly failures: readonly JobSnapshot[];
  /** The number of failed jobs that were read for this page. */
  readonly searched: number;
  /** The cursor of the next page; undefined after the last job. */
  readonly next?: string;
}

/** Reads a page of the failed jobs of several queues, bounded in bytes. Their arguments are not read. */
export async function readFailures(
  engine: Engine,
  queues: readonly string[],
  cursor?: string,
): Promise<FailurePage> {
  await engine.connect();
  const walk = new JobWalk(engine, queues, ["failed"], cursor);
  const failures: JobSnapshot[] = [];
  let searched = 0;
  let bytes = 0;
  while (bytes < PAGE_BYTES) {
    const block = await walk.next(MAX_BLOCK);
    if (block.length === 0) break;
    const records = await readBlock(engine, block, FAILURE_LIMITS);
    for (const [index, walked] of block.entries()) {
      walked.pass();
      searched++;
      const record = records[index];
      if (record === undefined) continue;
      bytes += bytesRead(record);
      const {
        unreadable: _,
        data: __,
        ...failure
      } = readSnapshot(record, "failed", walked.section.queue, walked.section.lane);
      failures.push(failure);
    }
  }
  const next = await walk.cursor();
  return { failures, searched, ...(next === undefined ? {} : { next }) };
}

/** Returns the name and the message of a thrown value. */
export function nameOfError(error: unknown): { readonly name: string; readonly message: string } {
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: "thrown", message: String(error) };
}

/** Returns the key of a failure's group; see {@link failureKey}. */
export function keyOfFailure({ task, error }: JobSnapshot): string {
  const { name, message } = nameOfError(error);
  return failureKey(task, name, message);
}

/** Returns the key of a group of failures. This is the only rule by which failures are grouped. */
export function failureKey(task: string, name: string, message: string): string {
  return JSON.stringify([task, name, kindOf(message)]);
}

/** Collects failures into groups, with the latest jobs of each group. */
export class FailureGroups {
  readonly #limit: number;
  readonly #groups = new Map<
    string,
    { task: string; name: string; message: string; count: number; jobs: FailedJob[] }
  >();

  /** @param limit the number of jobs that each group keeps. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Adds a failure to its group. */
  add({ task, id, lane, attempts, finishedAt = 0, error }: JobSnapshot): void {
    const { name, message } = nameOfError(error);
    const key = failureKey(task, name, message);
    let group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, (group = { task, name, message, count: 0, jobs: [] }));
    group.count++;
    const latest = group.jobs[0];
    if (latest === undefined || finishedAt > latest.failedAt) group.message = message;
    // Failures arrive nearly in order, the latest first. Only the lanes and the queues have to be merged.
    let at = group.jobs.length;
    while (at > 0 && group.jobs[at - 1]!.failedAt < finishedAt) at--;
    if (at >= this.#limit) return;
    group.jobs.splice(at, 0, { id, lane, attempts, failedAt: finishedAt, error });
    if (group.jobs.length > this.#limit) group.jobs.pop();
  }

  /** Returns all groups. The group with the latest failure comes first. */
  all(): FailureGroup[] {
    return [...this.#groups.values()].toSorted(
      (a, b) => (b.jobs[0]?.failedAt ?? 0) - (a.jobs[0]?.failedAt ?? 0),
    );
  }
}

/** Reads all failures of queues in groups, with up to `limit` jobs of each group. */
export async function groupedFailures(
  engine: Engine,
  queues: readonly string[],
  limit: number,
): Promise<FailureGroup[]> {
  const groups = new FailureGroups(limit);
  for await (const { failures } of pages(({ cursor }) => readFailures(engine, queues, cursor)))
    for (const failure of failures) groups.add(failure);
  return groups.all();
}

/** Returns a message with placeholders for numbers, ids and quoted values. */
function kindOf(message: string): string {
  return message.replaceAll(
    /"[^"]*"|'[^']*'|[\da-f]{8}-[\da-f-]{27}|\b[\dA-HJKMNP-TV-Z]{26}\b|0x[\da-f]+|\d+/gi,
    "#",
  );
}
