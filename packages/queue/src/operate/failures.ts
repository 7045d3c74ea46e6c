import type { Engine } from "../contract/engine.ts";
import { bytesRead } from "../contract/job-record.ts";
import type { FieldLimits, JobRecord } from "../contract/job-record.ts";
import { laneQueueName, storedId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { decodeArguments, isSubmission } from "../wire/job-data.ts";
import { failureKey, nameOfError } from "./failure-key.ts";
import { readSnapshot } from "./job-snapshot.ts";
import type { JobSnapshot } from "./job-snapshot.ts";
import { readBlock } from "./list-jobs.ts";
import { JobWalk } from "./job-walk.ts";
import { pages } from "./pages.ts";

/** The bytes that are read of each field of a failure. Of a larger error, the message alone is read. */
export const FAILURE_LIMITS: FieldLimits = { stacktrace: 65_536, failedReason: 4_096 };
/** The bytes that are read of the arguments of a failed job. */
const ARGUMENTS: FieldLimits = { data: 65_536 };
/** A page ends with the block that reaches this number of bytes. */
const PAGE_BYTES = 16 * 1_048_576;
/** The number of jobs in a block. */
const MAX_BLOCK = 100;

/** A job that failed for good. */
export interface FailedJob {
  readonly id: string;
  readonly queue: string;
  readonly lane: Lane;
  readonly attempts: number;
  /** Milliseconds of the epoch. */
  readonly failedAt: number;
  readonly error: unknown;
  /**
   * The arguments of the call; for a pack of a `queue.map`, the list of arguments of each call. Absent if they are larger than
   * 64 KiB or cannot be read, and for the rest of the jobs if those before had 16 MiB of arguments in all.
   */
  readonly args?: readonly unknown[];
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
  add({ task, id, queue, lane, attempts, finishedAt = 0, error }: JobSnapshot): void {
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
    group.jobs.splice(at, 0, { id, queue, lane, attempts, failedAt: finishedAt, error });
    if (group.jobs.length > this.#limit) group.jobs.pop();
  }

  /** Returns all groups. The group with the latest failure comes first. */
  all(): FailureGroup[] {
    return [...this.#groups.values()].toSorted(
      (a, b) => (b.jobs[0]?.failedAt ?? 0) - (a.jobs[0]?.failedAt ?? 0),
    );
  }
}

/** Reads all failures of queues in groups, with up to `limit` jobs of each group, and the arguments of these jobs. */
export async function groupedFailures(
  engine: Engine,
  queues: readonly string[],
  limit: number,
): Promise<FailureGroup[]> {
  const groups = new FailureGroups(limit);
  for await (const { failures } of pages(({ cursor }) => readFailures(engine, queues, cursor)))
    for (const failure of failures) groups.add(failure);
  return await withArguments(engine, groups.all());
}

/**
 * Returns groups whose jobs have their arguments. They are read after the grouping, so only those of the listed jobs are read,
 * and up to a bound of bytes.
 */
export async function withArguments(
  engine: Engine,
  groups: readonly FailureGroup[],
): Promise<FailureGroup[]> {
  const found = new Map<FailedJob, FailedJob>();
  const all = groups.flatMap(({ jobs }) => jobs);
  let bytes = 0;
  for (let at = 0; at < all.length && bytes < PAGE_BYTES; at += MAX_BLOCK) {
    const block = Map.groupBy(all.slice(at, at + MAX_BLOCK), ({ queue, lane }) => laneQueueName(queue, lane));
    for (const [name, jobs] of block) {
      const ids = jobs.map(({ id }) => storedId(id));
      for (const [index, record] of (await engine.readRecords(name, ids, ARGUMENTS)).entries()) {
        if (record === undefined) continue;
        bytes += bytesRead(record);
        const args = argumentsIn(record);
        if (args !== undefined) found.set(jobs[index]!, { ...jobs[index]!, args });
      }
    }
  }
  return groups.map((group) => ({ ...group, jobs: group.jobs.map((job) => found.get(job) ?? job) }));
}

/** Returns the arguments of a submission. Any client can have written the record. */
function argumentsIn({ texts: { data } }: JobRecord): readonly unknown[] | undefined {
  if (data.text === undefined) return undefined;
  try {
    const stored: unknown = JSON.parse(data.text);
    return isSubmission(stored) ? decodeArguments(stored) : undefined;
  } catch {
    return undefined;
  }
}
