import type { Engine } from "../contract/engine.ts";
import { STORED_STATES, bytesRead } from "../contract/job-record.ts";
import type { FieldLimits, JobRecord, StoredState } from "../contract/job-record.ts";
import { laneQueueName } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { keyOfFailure } from "./failure-key.ts";
import { plainState, readSnapshot } from "./job-snapshot.ts";
import type { JobSnapshot, JobState } from "./job-snapshot.ts";
import { JobWalk } from "./job-walk.ts";
import type { WalkedJob } from "./job-walk.ts";

/** The bytes that a listing reads of each field. Of a larger field, the size alone is shown. */
export const LISTING_LIMITS: FieldLimits = {
  data: 16_384,
  opts: 16_384,
  progress: 4_096,
  returnvalue: 16_384,
  stacktrace: 32_768,
  failedReason: 4_096,
};
/** The largest arguments that a search reads, in bytes. The limit is above the wire's own. */
const MAX_SEARCHED_BYTES = 6 * 1_048_576;
/** A page ends with the job that reaches this number of bytes. */
const PAGE_BYTES = 16 * 1_048_576;
/** A page ends after this number of jobs, found or not. */
const MAX_SEARCHED = 10_000;
/** The number of jobs that are read at once. */
const MAX_BLOCK = 50;

/** The query of {@link listJobs}. */
export interface JobQuery {
  readonly state?: JobState;
  /** A text in the id, in the name of the task or in the arguments, in upper or lower case. */
  readonly text?: string;
  /** Only jobs of this lane. */
  readonly lane?: Lane;
  /** Only jobs of the task of this name. */
  readonly task?: string;
  /** Only jobs with this tag. */
  readonly tag?: string;
  /** Only jobs that were submitted at this time or later, in milliseconds of the epoch. */
  readonly since?: number;
  /** Only failed jobs of this group; the key is that of `failureKey`. */
  readonly failure?: string;
  readonly limit: number;
  /** The `next` of an earlier page. */
  readonly cursor?: string;
}

/** One page of a listing. */
export interface JobPage<T = JobSnapshot> {
  readonly jobs: readonly T[];
  /** The number of jobs that were read for this page. */
  readonly searched: number;
  /** The number of those jobs whose arguments are too large to search. */
  readonly unsearched?: number;
  /** The cursor of the next page; undefined after the last job. */
  readonly next?: string;
}

/**
 * Lists jobs of several queues. The job that was submitted last comes first. A page is bounded in bytes as well as in
 * jobs: it can have fewer jobs than `limit`, even none, and a cursor for the next page.
 */
export async function listJobs(
  engine: Engine,
  queues: readonly string[],
  { state, text = "", lane: only, task, tag, since = -Infinity, failure, limit, cursor }: JobQuery,
): Promise<JobPage> {
  await engine.connect();
  const walk = new JobWalk(engine, queues, statesOf(state), cursor, only === undefined ? undefined : [only]);
  const wanted = text.toLowerCase();
  const jobs: JobSnapshot[] = [];
  let searched = 0;
  let unsearched = 0;
  let bytes = 0;
  const isFiltered =
    [task, tag, failure].some((each) => each !== undefined) || wanted !== "" || since > -Infinity;
  while (jobs.length < limit && bytes < PAGE_BYTES && searched < MAX_SEARCHED) {
    const block = await walk.next(Math.min(MAX_BLOCK, isFiltered ? MAX_BLOCK : limit - jobs.length));
    if (block.length === 0) break;
    // Names and times are known before any text is read.
    const wantedOfBlock = block.filter(
      ({ record }) => (task === undefined || record.name === task) && record.timestamp >= since,
    );
    const records = await readBlock(engine, wantedOfBlock, LISTING_LIMITS);
    const recordOf = new Map(wantedOfBlock.map((walked, index) => [walked, records[index]]));
    for (const walked of block) {
      if (jobs.length >= limit || bytes >= PAGE_BYTES) break;
      walked.pass();
      searched++;
      const record = recordOf.get(walked);
      if (record === undefined) continue;
      bytes += bytesRead(record);
      const { queue, lane } = walked.section;
      const snapshot = readSnapshot(record, walked.section.state, queue, lane);
      if (state !== undefined && snapshot.state !== state) continue;
      if (failure !== undefined && (snapshot.state !== "failed" || keyOfFailure(snapshot) !== failure))
        continue;
      const isMatch = (each: JobSnapshot): boolean =>
        (tag === undefined || each.tags?.includes(tag) === true) && (wanted === "" || matches(each, wanted));
      if (!isMatch(snapshot)) {
        if (snapshot.omitted?.["data"] === undefined) continue;
        const found = await searchLarge(engine, walked, record, isMatch);
        bytes += found.bytes;
        if (found.isTooLarge) unsearched++;
        if (!found.matches) continue;
      }
      jobs.push(snapshot);
    }
  }
  const next = await walk.cursor();
  return {
    jobs,
    searched,
    ...(unsearched === 0 ? {} : { unsearched }),
    ...(next === undefined ? {} : { next }),
  };
}

function statesOf(state: JobState | undefined): readonly StoredState[] {
  if (state === undefined) return STORED_STATES;
  const stored = state === "cancelled" ? "completed" : state;
  return STORED_STATES.filter((each) => plainState(each) === stored);
}

/** Reads the texts of a block, by one command for each lane in the block. */
export async function readBlock(
  engine: Engine,
  block: readonly WalkedJob[],
  limits: FieldLimits,
): Promise<(JobRecord | undefined)[]> {
  const byLane = new Map<string, number[]>();
  for (const [index, { section }] of block.entries()) {
    const name = laneQueueName(section.queue, section.lane);
    byLane.set(name, [...(byLane.get(name) ?? []), index]);
  }
  const records: (JobRecord | undefined)[] = [];
  for (const [name, places] of byLane) {
    const ids = places.map((index) => block[index]!.record.id);
    const read = await engine.readRecords(name, ids, limits);
    for (const [at, index] of places.entries()) records[index] = read[at];
  }
  return records;
}

function matches({ id, task, args, tags = [], data }: JobSnapshot, wanted: string): boolean {
  if (tags.some((tag) => tag.toLowerCase().includes(wanted))) return true;
  if (id.toLowerCase().includes(wanted) || task.toLowerCase().includes(wanted)) return true;
  return textOf(args).includes(wanted) || (data !== undefined && textOf(data).includes(wanted));
}

function textOf(value: unknown): string {
  return (JSON.stringify(value) ?? "").toLowerCase();
}

/** Searches large arguments. They are read one job at a time, so that they neither fill the memory nor block the loop. */
async function searchLarge(
  engine: Engine,
  { section }: WalkedJob,
  record: JobRecord,
  isMatch: (snapshot: JobSnapshot) => boolean,
): Promise<{ readonly matches: boolean; readonly isTooLarge: boolean; readonly bytes: number }> {
  const name = laneQueueName(section.queue, section.lane);
  const [read] = await engine.readRecords(name, [record.id], { data: MAX_SEARCHED_BYTES });
  if (read === undefined) return { matches: false, isTooLarge: false, bytes: 0 };
  if (read.texts.data.text === undefined) return { matches: false, isTooLarge: true, bytes: 0 };
  const snapshot = readSnapshot(read, section.state, section.queue, section.lane);
  return { matches: isMatch(snapshot), isTooLarge: false, bytes: bytesRead(read) };
}
