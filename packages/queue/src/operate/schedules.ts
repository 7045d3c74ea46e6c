import type { LaneQueue, NewJob, StoredSchedule } from "../contract/lane-queue.ts";
import type { JobsOptions } from "bullmq";
import { jobId, lanes } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import { timesOf } from "../contract/times-of.ts";
import { ulid } from "../contract/ulid.ts";
import { TaskOptionsError } from "../errors.ts";
import type { JobData } from "../wire/job-data.ts";
import type { LaneQueues } from "./lane-queues.ts";
import { hasEnded } from "./schedule-times.ts";

/** The number of schedules that are read at once. Each has the arguments of its task. */
const READ_AT_ONCE = 50;
/**
 * The number of schedules that are read twice. A schedule that runs during the walk moves behind the others, which move
 * forward by one.
 */
const OVERLAP = 10;

/** A schedule as an operator sees it. */
export interface ScheduleRecord {
  readonly id: string;
  /** The task's name. */
  readonly task: string;
  readonly lane: Lane;
  readonly cron: string | undefined;
  readonly timezone: string | undefined;
  /** Milliseconds. */
  readonly every: number | undefined;
  /** Milliseconds of the epoch. */
  readonly until: number | undefined;
  /** The time of the next run, in milliseconds of the epoch; undefined while the schedule is paused. */
  readonly next: number | undefined;
  /** Whether the schedule is paused: it runs only by hand, until it is resumed. */
  readonly isPaused: boolean;
}

/** A stored schedule and the lane that has it. */
export interface PlacedSchedule {
  readonly lane: Lane;
  readonly stored: StoredSchedule;
}

/** Returns a stored schedule as an operator sees it. */
export function scheduleRecord({ lane, stored }: PlacedSchedule): ScheduleRecord {
  const paused = stored.template?.data?.paused;
  const { pattern, tz, every, endDate } = paused ?? stored;
  return {
    id: stored.key,
    task: stored.name,
    lane,
    cron: pattern,
    timezone: tz,
    every,
    until: endDate,
    next: paused === undefined ? (stored.next ?? undefined) : undefined,
    isPaused: paused !== undefined,
  };
}

type Repeat = Parameters<LaneQueue["upsertJobScheduler"]>[1];
type Template = Parameters<LaneQueue["upsertJobScheduler"]>[2];

/**
 * The times of a paused schedule. BullMQ has no pause, and a schedule that is removed and added again could be lost in
 * between. A paused schedule therefore stays stored, with a first run that nobody will see, and its own times in its data.
 */
const NEVER: Repeat = { pattern: "0 0 1 1 *", tz: "UTC", startDate: Date.UTC(2100, 0) };

/** Returns the times and the template under which a paused schedule is stored. */
function pausedForm(repeat: Repeat, template: Template): [Repeat, Template] {
  return [NEVER, { ...template, data: { ...template.data, paused: timesOf(repeat) } }];
}

/**
 * Stores a schedule in a lane. A schedule whose time is over removes any other schedule of its id. A schedule that is paused
 * stays paused: programs store their schedules whenever they start.
 */
export async function putSchedule(
  queues: LaneQueues,
  lane: Lane,
  id: string,
  repeat: Repeat,
  template: Template,
): Promise<PlacedSchedule> {
  await queues.engine.connect();
  const queue = queues.lane(lane);
  const before = await queues.each((each) => each.getJobScheduler(id));
  const isPaused = before.some((stored) => stored?.template?.data?.paused !== undefined);
  if (isPaused && !hasEnded(repeat, localNow(queues)))
    await queue.upsertJobScheduler(id, ...pausedForm(repeat, template));
  else await putTimes(queues, lane, id, repeat, template);
  // A schedule whose task ran in another lane before was stored there.
  const others = lanes.filter((other) => other !== lane);
  await Promise.all(others.map((other) => queues.lane(other).removeJobScheduler(id)));
  return { lane, stored: (await queue.getJobScheduler(id)) ?? { key: id, name: template.name, template } };
}

/** Removes a schedule from the lane that has it; runs that have begun continue. Resolves with false if there is none. */
export async function removeSchedule(
  queues: LaneQueues,
  id: string,
  from: readonly Lane[] = lanes,
): Promise<boolean> {
  await queues.engine.connect();
  for (const lane of from) if (await queues.lane(lane).removeJobScheduler(id)) return true;
  return false;
}

/** Returns the job of an extra run of a schedule, without its id: the task, the arguments and the options of its own runs. */
export function extraRun({ name, template }: StoredSchedule): NewJob {
  const { attempts, backoff, priority } = template?.opts ?? {};
  const opts: JobsOptions = {
    ...(attempts === undefined ? {} : { attempts }),
    ...(backoff === undefined ? {} : { backoff }),
    ...(priority === undefined ? {} : { priority }),
  };
  const empty: JobData = { v: 1, version: 1, args: [] };
  const { paused: _times, ...data } = { ...empty, ...template?.data };
  return { name, data, opts };
}

/**
 * Pauses a schedule, or lets it go on. A paused schedule makes no jobs by itself. A resumed interval begins anew, with a run at
 * once; a resumed pattern has its own times.
 *
 * @throws {@link TaskOptionsError} if the queue has no such schedule.
 */
export async function pauseSchedule(queues: LaneQueues, id: string, isPaused: boolean): Promise<void> {
  const { lane, stored } = await findSchedule(queues, id);
  const { paused, ...data } = { v: 1 as const, version: 1, args: [], ...stored.template?.data };
  if ((paused !== undefined) === isPaused) return;
  const plain: Template = { name: stored.name, data, opts: stored.template?.opts ?? {} };
  try {
    if (isPaused) await queues.lane(lane).upsertJobScheduler(id, ...pausedForm(timesOf(stored), plain));
    else await putTimes(queues, lane, id, timesOf(paused!), plain);
  } catch (error) {
    // On PostgreSQL, BullMQ refuses one of two changes that meet. It need not be repeated if the other one did the same.
    const now = await findSchedule(queues, id);
    if ((now.stored.template?.data?.paused !== undefined) !== isPaused) throw error;
  }
}

/** Stores the times of a schedule again. They can be over by now, and the schedule then ends. */
async function putTimes(
  queues: LaneQueues,
  lane: Lane,
  id: string,
  repeat: Repeat,
  template: Template,
): Promise<void> {
  const queue = queues.lane(lane);
  if (hasEnded(repeat, localNow(queues))) await queue.removeJobScheduler(id);
  else await queue.upsertJobScheduler(id, repeat, template);
}

async function findSchedule(queues: LaneQueues, id: string): Promise<PlacedSchedule> {
  await queues.engine.connect();
  const found = await queues.each(async (queue, lane) => ({ lane, stored: await queue.getJobScheduler(id) }));
  for (const { lane, stored } of found) if (stored != null) return { lane, stored };
  throw new TaskOptionsError(
    `There is no schedule ${JSON.stringify(id)} in the queue ${queues.queueName}; \`schedules()\` lists those that it has`,
  );
}

/**
 * Runs a schedule once more at once, in addition to its times.
 *
 * @returns the id of the job.
 * @throws {@link TaskOptionsError} if the queue has no such schedule.
 */
export async function runSchedule(queues: LaneQueues, id: string): Promise<string> {
  const { engine, queueName } = queues;
  const { lane, stored } = await findSchedule(queues, id);
  const { name, data, opts } = extraRun(stored);
  await engine.recordQueue(queueName);
  // An addition whose answer was lost can be repeated, since the id is chosen here.
  const job = jobId(lane, ulid(Math.trunc(localNow(queues))));
  await queues.lane(lane).add(name, data, { ...opts, jobId: job });
  return job;
}

/**
 * Reads all schedules of a queue. The one that runs next comes first. Schedules that have had their last run are removed: BullMQ
 * leaves them in place.
 */
export async function readSchedules(queues: LaneQueues): Promise<PlacedSchedule[]> {
  await queues.engine.connect();
  const found = await queues.each(async (queue, lane) => {
    const placed: PlacedSchedule[] = [];
    const over: StoredSchedule[] = [];
    for await (const page of walkSchedules(queue)) {
      const ended = await endedSchedules(queues, lane, page);
      over.push(...ended);
      for (const stored of page) if (!ended.has(stored)) placed.push({ lane, stored });
    }
    // Removed after the walk, since a removal moves the others forward.
    await Promise.all(over.map(({ key }) => queue.removeJobScheduler(key)));
    return placed;
  });
  return found.flat().toSorted((a, b) => (a.stored.next ?? Infinity) - (b.stored.next ?? Infinity));
}

/** Yields the schedules of a lane in pages, the next to run first, each schedule once. */
export async function* walkSchedules(
  lane: Pick<LaneQueue, "getJobSchedulers">,
): AsyncGenerator<readonly StoredSchedule[], void, undefined> {
  const seen = new Set<string>();
  for (let from = 0; ; from += READ_AT_ONCE - OVERLAP) {
    const read = await lane.getJobSchedulers(from, from + READ_AT_ONCE - 1, true);
    const found = read.filter(({ key }) => !seen.has(key));
    for (const { key } of found) seen.add(key);
    if (found.length > 0) yield found;
    // Schedules that are removed during the walk leave holes in a page. Behind the end, a page has nothing new.
    if (read.length <= OVERLAP) return;
  }
}

async function endedSchedules(
  queues: LaneQueues,
  lane: Lane,
  stored: readonly StoredSchedule[],
): Promise<Set<StoredSchedule>> {
  const now = localNow(queues);
  const last = stored.filter((each) => {
    const { next, every } = each;
    if (next == null || next > now) return false;
    return hasEnded(each, every === undefined ? now : next + every - 1);
  });
  if (last.length === 0) return new Set();
  const runs = await queues.lookup(
    lane,
    last.map(({ key, next }) => `repeat:${key}:${next}`),
  );
  return new Set(last.filter((_, index) => runs[index]?.kind !== "pending"));
}

/** Returns the time of this machine's clock, or of the virtual clock. */
function localNow({ engine }: LaneQueues): number {
  return engine.now() - engine.clockOffset;
}
