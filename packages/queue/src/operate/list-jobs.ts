import type { Engine } from "../contract/engine.ts";
import { bytesRead } from "../contract/job-record.ts";
import type { FieldLimits, JobRecord, StoredState } from "../contract/job-record.ts";
import { laneQueueName } from "../contract/lane.ts";
import { plainState, readSnapshot } from "./job-snapshot.ts";
import type { JobSnapshot, JobState } from "./job-snapshot.ts";
import { JobWalk, storedStates } from "./job-walk.ts";
import type { WalkedJob } from "./job-walk.ts";

/** The bytes that a listing reads of each field; larger fields are shown by their size. */
export const shownAtMost: FieldLimits = {
  data: 16_384,
  opts: 16_384,
  progress: 4_096,
  returnvalue: 16_384,
  stacktrace: 32_768,
  failedReason: 4_096,
};
/** The largest arguments that a search reads, in bytes: more than the wire's limit, so all that Taskloom submits. */
const searchedAtMost = 6 * 1_048_576;
/** So many bytes one call reads in all; then it answers with what it has found, and where to go on. */
const readAtMost = 16 * 1_048_576;
/** So many jobs are read at once. */
const blockAtMost = 50;

/** The jobs that {@link listJobs} looks for. */
export interface JobQuery {
  readonly state?: JobState;
  /** In the id, the task's name or the arguments; upper and lower case are one. */
  readonly text?: string;
  readonly limit: number;
  /** The `next` of an earlier page. */
  readonly cursor?: string;
}

/** The jobs that a listing has found, and how far it looked. */
export interface JobPage<T = JobSnapshot> {
  readonly jobs: readonly T[];
  /** How many jobs were looked at for this page. */
  readonly searched: number;
  /** How many jobs of them have arguments too large to search. */
  readonly unsearched?: number;
  /** The cursor of the next page; undefined when everything was looked at. */
  readonly next?: string;
}

/**
 * Lists jobs of several queues, the last submitted first. What one call reads is bounded in bytes, not in jobs: it ends
 * with a cursor when it has read enough, with fewer jobs than `limit`, even with none.
 */
export async function listJobs(
  engine: Engine,
  queues: readonly string[],
  { state, text = "", limit, cursor }: JobQuery,
): Promise<JobPage> {
  await engine.connect();
  const walk = new JobWalk(engine, queues, statesOf(state), cursor);
  const wanted = text.toLowerCase();
  const jobs: JobSnapshot[] = [];
  let searched = 0;
  let unsearched = 0;
  let bytes = 0;
  while (jobs.length < limit && bytes < readAtMost) {
    const block = await walk.next(Math.min(blockAtMost, wanted === "" ? limit - jobs.length : blockAtMost));
    if (block.length === 0) break;
    const records = await readBlock(engine, block, shownAtMost);
    for (const [index, walked] of block.entries()) {
      if (jobs.length >= limit || bytes >= readAtMost) break;
      walked.pass();
      searched++;
      const record = records[index];
      if (record === undefined) continue;
      bytes += bytesRead(record);
      const { queue, lane } = walked.section;
      const snapshot = readSnapshot(record, walked.section.state, queue, lane);
      if (state !== undefined && snapshot.state !== state) continue;
      if (wanted !== "" && !matches(snapshot, wanted)) {
        if (snapshot.omitted?.["data"] === undefined) continue;
        const found = await searchLarge(engine, walked, record, wanted);
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
  if (state === undefined) return storedStates;
  const stored = state === "cancelled" ? "completed" : state;
  return storedStates.filter((each) => plainState(each) === stored);
}

/** Reads the texts of a block: one call of the engine for each lane in it. */
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

function matches({ id, task, args, data }: JobSnapshot, wanted: string): boolean {
  if (id.toLowerCase().includes(wanted) || task.toLowerCase().includes(wanted)) return true;
  return textOf(args).includes(wanted) || (data !== undefined && textOf(data).includes(wanted));
}

function textOf(value: unknown): string {
  return (JSON.stringify(value) ?? "").toLowerCase();
}

/** Large arguments are read one job at a time, so that neither memory nor the loop notices. */
async function searchLarge(
  engine: Engine,
  { section }: WalkedJob,
  record: JobRecord,
  wanted: string,
): Promise<{ readonly matches: boolean; readonly isTooLarge: boolean; readonly bytes: number }> {
  const name = laneQueueName(section.queue, section.lane);
  const [read] = await engine.readRecords(name, [record.id], { data: searchedAtMost });
  if (read === undefined) return { matches: false, isTooLarge: false, bytes: 0 };
  if (read.texts.data.text === undefined) return { matches: false, isTooLarge: true, bytes: 0 };
  const snapshot = readSnapshot(read, section.state, section.queue, section.lane);
  return { matches: matches(snapshot, wanted), isTooLarge: false, bytes: bytesRead(read) };
}
