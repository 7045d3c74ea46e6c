import { ABSENT_TEXT, textsBy } from "../../contract/job-record.ts";
import type {
  FieldLimits,
  JobRecord,
  StateOrder,
  StoredState,
  StoredText,
  TextField,
} from "../../contract/job-record.ts";
import type { MemoryJob } from "./memory-job.ts";
import type { MemoryLane } from "./memory-lane.ts";

/** {@link Engine.idsIn} on a lane. */
export function idsIn(
  lane: MemoryLane,
  state: StoredState,
  from: number,
  count: number,
  order: StateOrder,
): string[] {
  lane.removeExpired();
  const sign = order === "newest" ? -1 : 1;
  return [...lane.jobs.values()]
    .filter((job) => stateOf(job) === state)
    .toSorted((a, b) => sign * (placeOf(a) - placeOf(b)))
    .slice(from, from + count)
    .map(({ id }) => id);
}

function stateOf({ state, opts }: MemoryJob): StoredState {
  return state === "waiting" && (opts.priority ?? 0) > 0 ? "prioritized" : state;
}

/** Returns the place of a job in its state: ended jobs are ordered by their ends, the others by their addition. */
function placeOf({ finishedOn, sequence }: MemoryJob): number {
  return finishedOn ?? sequence;
}

/** Returns the record of a job. The texts are made here, because memory stores values. */
export function recordOf(job: MemoryJob, limits: FieldLimits): JobRecord {
  const { id, name, timestamp, finishedOn, dueAt, attemptsMade, attemptsStarted } = job;
  const values: Record<TextField, unknown> = {
    data: job.data,
    opts: job.opts,
    progress: job.progress,
    returnvalue: job.state === "completed" ? job.returnvalue : undefined,
    stacktrace: job.stacktrace,
    failedReason: job.failedReason === "" ? undefined : job.failedReason,
  };
  const text = (field: TextField): StoredText => {
    const limit = limits[field];
    const value = values[field];
    if (limit === undefined || value === undefined) return ABSENT_TEXT;
    const written = field === "failedReason" ? job.failedReason : JSON.stringify(value);
    return { text: written.length > limit ? undefined : written, bytes: written.length };
  };
  return {
    id,
    name,
    timestamp,
    processedOn: job.processedOn === 0 ? undefined : job.processedOn,
    finishedOn,
    dueAt: job.state === "delayed" && dueAt !== undefined ? Math.floor(dueAt) : undefined,
    attemptsMade,
    attemptsStarted,
    recoveries: 0,
    texts: textsBy(text),
  };
}
