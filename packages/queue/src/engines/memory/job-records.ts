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

/** The ids of a state, the newest or the oldest first, from the `from`th on. */
export function idsIn(
  lane: MemoryLane,
  state: StoredState,
  from: number,
  count: number,
  order: StateOrder,
): string[] {
  lane.forget();
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

/** Ended jobs are ordered by their ends, the others by when they were added. */
function placeOf({ finishedOn, sequence }: MemoryJob): number {
  return finishedOn ?? sequence;
}

/** One job as {@link JobRecord}; the texts are made here, since nothing is stored as text in memory. */
export function recordOf(job: MemoryJob, limits: FieldLimits): JobRecord {
  const { id, name, timestamp, finishedOn, attemptsMade, attemptsStarted } = job;
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
    const written = field === "failedReason" ? (value as string) : JSON.stringify(value);
    return { text: written.length > limit ? undefined : written, bytes: written.length };
  };
  return {
    id,
    name,
    timestamp,
    processedOn: job.processedOn === 0 ? undefined : job.processedOn,
    finishedOn,
    attemptsMade,
    attemptsStarted,
    texts: textsBy(text),
  };
}
