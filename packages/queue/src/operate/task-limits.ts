import { limitNameParts } from "../contract/task-limits.ts";
import type { LimitState } from "../contract/task-limits.ts";
import { lanes } from "../contract/lane.ts";
import type { Lane } from "../contract/lane.ts";
import type { LaneQueues } from "./lane-queues.ts";

/** A limit of a task that is in use: it has slots that are taken, or jobs that wait for one. */
export interface TaskLimit {
  /** A limit of the jobs that run at once, or of the starts within `duration`. */
  readonly kind: "concurrency" | "rate";
  readonly task: string;
  /** The key whose jobs are counted; undefined if all jobs of the task are counted together. */
  readonly key?: string;
  readonly max: number;
  /** Milliseconds; only of a rate. */
  readonly duration?: number;
  /** The number of slots that are taken now. */
  readonly taken: number;
  /** The number of jobs in the line: those that are parked, and those that no worker has taken so far. */
  readonly waiting: number;
}

/** A limit with the lane of its task. */
export interface PlacedTaskLimit extends TaskLimit {
  readonly lane: Lane;
}

/** The limit for which a parked job waits. */
export interface LimitedBy extends TaskLimit {
  /** The number of jobs before it in the line. */
  readonly ahead: number;
}

/** Reads the limits of tasks that are in use in a queue. */
export async function readTaskLimits(queues: LaneQueues): Promise<PlacedTaskLimit[]> {
  await queues.engine.connect();
  const ofLanes = await Promise.all(
    lanes.map(async (lane) => {
      const states = await queues.engine.limits.list(queues.nameOf(lane));
      return states.map((state): PlacedTaskLimit => Object.assign(taskLimit(state), { lane }));
    }),
  );
  return ofLanes.flat();
}

/** Reads the limit for which a stored job waits; undefined for any other job. */
export async function readLimitedBy(
  queues: LaneQueues,
  lane: Lane,
  stored: string,
): Promise<LimitedBy | undefined> {
  const place = await queues.engine.limits.place(queues.nameOf(lane), stored);
  return place && { ...taskLimit(place), ahead: place.ahead };
}

function taskLimit({ name, max, window, taken, waiting }: LimitState): TaskLimit {
  const { kind, task, key } = limitNameParts(name);
  return {
    kind,
    task,
    ...(key === undefined ? {} : { key }),
    max,
    ...(kind === "rate" ? { duration: window } : {}),
    taken,
    waiting,
  };
}
