/**
 * The lane of a task: `loop` runs it on the worker's event loop, cooperatively; `thread` runs it on a thread, blocking;
 * `workflow` has the durable runs, which wait for jobs of the other lanes.
 */
export type Lane = "loop" | "thread" | "workflow";

/** A lane in which `defineTask` puts tasks. A task can move from one of them to the other in a later version. */
export type TaskLane = Exclude<Lane, "workflow">;

/** All lanes, in the order in which they are shown. */
export const lanes: readonly Lane[] = ["loop", "thread", "workflow"];

/** Returns the lane to which a task can have moved. Durable runs stay in their lane. */
export function otherLane(lane: TaskLane): TaskLane {
  return lane === "loop" ? "thread" : "loop";
}

/**
 * Returns the name of the BullMQ queue that has one lane of a Taskloom queue. Each lane is a queue of its own, so that a
 * backlog of blocking jobs never delays cooperative jobs, and durable runs hold no place that a job needs.
 */
export function laneQueueName(queue: string, lane: Lane): string {
  return `${queue}.${lane}`;
}

/** Returns the Taskloom queue that a BullMQ queue is a lane of; undefined for any other BullMQ queue. */
export function queueOfLaneName(name: string): string | undefined {
  const lane = laneOfLaneName(name);
  return lane === undefined ? undefined : name.slice(0, -lane.length - 1);
}

/** Returns the lane of a BullMQ queue of Taskloom. */
export function laneOfLaneName(name: string): Lane | undefined {
  return lanes.find((each) => name.endsWith(`.${each}`));
}

/**
 * Returns the id under which a job is stored. The id carries the lane, because the id alone has to show which BullMQ queue
 * has the job. BullMQ reserves integers for its own counter, and `:` as its separator.
 */
export function jobId(lane: Lane, key: string): string {
  return `${lane}.${key}`;
}

/** Returns the id under which BullMQ stores a job. BullMQ makes the ids of scheduled runs, without a lane. */
export function storedId(id: string): string {
  const scheduled = /^(?:loop|thread|workflow)\.(repeat:.*)$/s.exec(id);
  return scheduled?.[1] ?? id;
}

/** Returns whether a stored id is that of a run of a schedule, which BullMQ has made. */
export function isScheduledRun(stored: string): boolean {
  return stored.startsWith("repeat:");
}

/** Returns the id by which users know a stored job. */
export function publicId(lane: Lane, stored: string): string {
  return isScheduledRun(stored) ? jobId(lane, stored) : stored;
}

/** Returns the lane in a job's id; undefined for a bare key that a user chose. */
export function laneOfJobId(id: string): Lane | undefined {
  return lanes.find((lane) => id.startsWith(`${lane}.`));
}
