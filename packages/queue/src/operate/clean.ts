import type { Engine } from "../contract/engine.ts";
import { MAX_REMOVED } from "../contract/engine.ts";
import type { FieldLimits, JobRecord, StoredState } from "../contract/job-record.ts";
import { isScheduledRun, lanes, publicId } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { TaskOptionsError } from "../errors.ts";
import { wholeMilliseconds } from "../milliseconds.ts";
import { terminateStored } from "./cancel.ts";
import { placesIn, writeCursor } from "./cursor.ts";
import { plainState, readSnapshot } from "./job-snapshot.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** The states of the jobs that {@link cleanJobs} removes. */
export const CLEANED_STATES = ["completed", "failed", "cancelled", "waiting", "delayed"] as const;

/** A state whose jobs can be removed. */
export type CleanedState = (typeof CLEANED_STATES)[number];

/** A page ends after this number of jobs, removed or not. */
const MAX_SEARCHED = 10_000;
/** The number of waiting jobs that are cancelled at the same time. */
const MAX_AT_ONCE = 50;
/** Enough of a result to recognize a cancelled job. */
const RESULT: FieldLimits = { returnvalue: 65_536 };

/** The jobs that {@link cleanJobs} removes. */
export interface CleanQuery {
  /** The state of the jobs. */
  readonly state: CleanedState;
  /**
   * Removes only jobs that ended at least so many milliseconds ago; for `waiting` and `delayed`, jobs that were submitted so
   * long ago. Default 0.
   */
  readonly olderThan?: number;
  /** Removes only the jobs of this task. */
  readonly task?: string;
  /** The greatest number of jobs that are removed. Default: no limit for a queue, and 1,000 for one page. */
  readonly limit?: number;
}

/** One page of {@link cleanJobs}. */
export interface CleanPage {
  /** The ids of the removed jobs. */
  readonly removed: readonly string[];
  /** The cursor of the next page; undefined after the last job. */
  readonly next?: string;
}

/** A list of jobs of one lane in one stored state. */
interface Section {
  readonly queues: LaneQueues;
  readonly lane: Lane;
  readonly state: StoredState;
}

/**
 * Removes jobs of one state, with all that is stored about them, up to 1,000 in one call. The oldest job comes first. Waiting
 * and delayed jobs are cancelled first, so their callers receive a CancelledError. The next runs of schedules and durable
 * runs that have begun stay.
 *
 * @throws {@link TaskOptionsError} for an unknown state, an invalid time or limit, or a cursor of no earlier page.
 */
export async function cleanJobs(
  engine: Engine,
  open: (queue: string) => LaneQueues,
  queues: readonly string[],
  { cursor, ...query }: CleanQuery & { readonly cursor?: string },
): Promise<CleanPage> {
  const { state, olderThan, limit } = checked(query);
  const most = Math.min(limit, MAX_REMOVED);
  const sections = queues.flatMap((queue) => {
    const opened = open(queue);
    return lanes.flatMap((lane) =>
      storedStates(state).map((each): Section => ({ queues: opened, lane, state: each })),
    );
  });
  const from = cursor === undefined ? { section: 0, passed: 0 } : placesIn(cursor, ["section", "passed"]);
  await engine.connect();
  const before = engine.now() - olderThan;
  const removed: string[] = [];
  let searched = 0;
  let { passed } = from;
  for (let at = from.section; at < sections.length; at++, passed = 0) {
    const section = sections[at]!;
    const name = section.queues.nameOf(section.lane);
    for (;;) {
      const left = Math.min(most - removed.length, MAX_SEARCHED - searched);
      if (left <= 0) return { removed, next: writeCursor({ section: at, passed }) };
      const count = Math.min(left, 500);
      const ids = await engine.idsIn(name, section.state, passed, count, "oldest");
      searched += ids.length;
      const chosen = await chosenOf(section, ids, { ...query, state, before });
      const gone = await removeAll(section, chosen);
      removed.push(...gone.map((id) => publicId(section.lane, id)));
      passed += ids.length - gone.length;
      if (ids.length < count) break;
    }
  }
  return { removed };
}

function checked({
  state,
  olderThan = 0,
  limit = MAX_REMOVED,
}: CleanQuery): Required<Omit<CleanQuery, "task">> {
  if (!CLEANED_STATES.includes(state)) {
    throw new TaskOptionsError(
      `Expected \`state\` to be one of ${CLEANED_STATES.join(", ")}, got ${JSON.stringify(state)}`,
    );
  }
  if (!(limit === Infinity || (Number.isSafeInteger(limit) && limit > 0)))
    throw new TaskOptionsError(`Expected \`limit\` to be a whole number above 0, got ${String(limit)}`);
  return { state, olderThan: wholeMilliseconds("`olderThan`", olderThan, { from: 0 }), limit };
}

function storedStates(state: CleanedState): readonly StoredState[] {
  switch (state) {
    case "cancelled":
      return ["completed"];
    case "waiting":
      return ["waiting", "prioritized", "paused"];
    default:
      return [state];
  }
}

/** Returns the ids of the jobs that match the query. */
async function chosenOf(
  { queues, lane, state }: Section,
  ids: readonly string[],
  { state: wanted, task, before }: CleanQuery & { readonly before: number },
): Promise<readonly string[]> {
  const limits = state === "completed" ? RESULT : {};
  const records = await queues.engine.readRecords(queues.nameOf(lane), ids, limits);
  const matches = (record: JobRecord): boolean => {
    if (task !== undefined && record.name !== task) return false;
    if ((record.finishedOn ?? record.timestamp) > before) return false;
    if (state === "completed") return readSnapshot(record, state, queues.queueName, lane).state === wanted;
    if (state === "failed") return true;
    return plainState(state) === wanted && !isNeeded(record, lane);
  };
  return ids.filter((_, index) => records[index] !== undefined && matches(records[index]));
}

/** Whether a job that does not run belongs to something that goes on: a schedule, or a durable run that has begun. */
function isNeeded({ id, attemptsStarted }: JobRecord, lane: Lane): boolean {
  return isScheduledRun(id) || (lane === "workflow" && attemptsStarted > 0);
}

async function removeAll(
  { queues, lane, state }: Section,
  ids: readonly string[],
): Promise<readonly string[]> {
  if (state !== "completed" && state !== "failed")
    for (let at = 0; at < ids.length; at += MAX_AT_ONCE)
      await Promise.all(
        ids.slice(at, at + MAX_AT_ONCE).map((id) => terminateStored(queues, lane, id, "removed")),
      );
  return ids.length === 0 ? [] : await queues.engine.removeEnded(queues.nameOf(lane), ids);
}
