import type { Engine } from "../contract/engine.ts";
import { bytesRead } from "../contract/job-record.ts";
import type { FieldLimits } from "../contract/job-record.ts";
import type { Lane } from "../contract/lane.ts";
import { readSnapshot } from "./job-snapshot.ts";
import type { JobSnapshot } from "./job-snapshot.ts";
import { readBlock } from "./list-jobs.ts";
import { JobWalk } from "./job-walk.ts";
import { pages } from "./pages.ts";

/** The bytes that are read of each field of a failure: a larger error is known by its message alone. */
export const readOfFailure: FieldLimits = { stacktrace: 65_536, failedReason: 4_096 };
/** So many bytes one page reads in all. */
const readAtMost = 16 * 1_048_576;
const blockAtMost = 100;

/** A job that failed for good. */
export interface FailedJob {
  readonly id: string;
  readonly lane: Lane;
  readonly attempts: number;
  /** Milliseconds of the epoch. */
  readonly failedAt: number;
  readonly error: unknown;
}

/** Jobs of one task that failed with the same error, give or take the numbers and ids in its message. */
export interface FailureGroup {
  readonly task: string;
  /** The error's class. */
  readonly name: string;
  /** The message of the latest one. */
  readonly message: string;
  /** How many jobs there are in all. */
  readonly count: number;
  /** The latest of them, the latest first; `failed({ limit })` says how many of each group. */
  readonly jobs: readonly FailedJob[];
}

/** Failures as one page of a look through all of them has them. */
export interface FailurePage {
  readonly failures: readonly JobSnapshot[];
  /** How many failed jobs were looked at for this page. */
  readonly searched: number;
  /** The cursor of the next page; undefined when everything was looked at. */
  readonly next?: string;
}

/** Reads failed jobs of several queues, as many as a bound in bytes allows; their arguments are not read. */
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
  while (bytes < readAtMost) {
    const block = await walk.next(blockAtMost);
    if (block.length === 0) break;
    const records = await readBlock(engine, block, readOfFailure);
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

/** The name and message by which a failure is known. */
export function nameOfError(error: unknown): { readonly name: string; readonly message: string } {
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: "thrown", message: String(error) };
}

/** The kind of a failure; see {@link failureKey}. */
export function keyOfFailure({ task, error }: JobSnapshot): string {
  const { name, message } = nameOfError(error);
  return failureKey(task, name, message);
}

/** The one rule of what fails in the same way: equal keys are one group. */
export function failureKey(task: string, name: string, message: string): string {
  return JSON.stringify([task, name, kindOf(message)]);
}

/** Collects failures into groups, with the latest jobs of each; the groups together are as large as `limit` allows. */
export class FailureGroups {
  readonly #limit: number;
  readonly #groups = new Map<
    string,
    { task: string; name: string; message: string; count: number; jobs: FailedJob[] }
  >();

  /** @param limit how many jobs of each group are kept. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add({ task, id, lane, attempts, finishedAt = 0, error }: JobSnapshot): void {
    const { name, message } = nameOfError(error);
    const key = failureKey(task, name, message);
    let group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, (group = { task, name, message, count: 0, jobs: [] }));
    group.count++;
    const latest = group.jobs[0];
    if (latest === undefined || finishedAt > latest.failedAt) group.message = message;
    // Failures come nearly in order, the latest first; the two lanes and the queues are merged here.
    let at = group.jobs.length;
    while (at > 0 && group.jobs[at - 1]!.failedAt < finishedAt) at--;
    if (at >= this.#limit) return;
    group.jobs.splice(at, 0, { id, lane, attempts, failedAt: finishedAt, error });
    if (group.jobs.length > this.#limit) group.jobs.pop();
  }

  /** Every group; the one that grew last comes first. */
  all(): FailureGroup[] {
    return [...this.#groups.values()].toSorted(
      (a, b) => (b.jobs[0]?.failedAt ?? 0) - (a.jobs[0]?.failedAt ?? 0),
    );
  }
}

/** All failures of queues, grouped; `limit` jobs of each group. */
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

/** A message without the particulars of its case: numbers, ids and quoted values stand for any. */
function kindOf(message: string): string {
  return message.replaceAll(
    /"[^"]*"|'[^']*'|[\da-f]{8}-[\da-f-]{27}|\b[\dA-HJKMNP-TV-Z]{26}\b|0x[\da-f]+|\d+/gi,
    "#",
  );
}
