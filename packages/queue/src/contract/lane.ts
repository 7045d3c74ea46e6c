/** Where a worker runs a task: on its event loop, cooperatively, or on a thread, blocking. */
export type Lane = "loop" | "thread";

/** Both lanes, in the order in which they are shown. */
export const lanes: readonly Lane[] = ["loop", "thread"];

export function otherLane(lane: Lane): Lane {
  return lane === "loop" ? "thread" : "loop";
}

/**
 * The name of the BullMQ queue that holds one lane of a Taskloom queue. Each lane is a queue of its own, so that a
 * backlog of blocking jobs never delays cooperative ones.
 */
export function laneQueueName(queue: string, lane: Lane): string {
  return `${queue}.${lane}`;
}

/** The Taskloom queue whose lane a BullMQ queue is; undefined for any other BullMQ queue. */
export function queueOfLaneName(name: string): string | undefined {
  const lane = lanes.find((each) => name.endsWith(`.${each}`));
  return lane === undefined ? undefined : name.slice(0, -lane.length - 1);
}

/**
 * The id under which a job is stored. It carries its lane, because the id alone has to tell which BullMQ queue holds
 * the job; BullMQ reserves integers (its own counter) and `:` (its own separator).
 */
export function jobId(lane: Lane, key: string): string {
  return `${lane}.${key}`;
}

/** The id under which the lane's BullMQ queue has a job: that of a scheduled run is BullMQ's own, without the lane. */
export function storedId(id: string): string {
  const scheduled = /^(?:loop|thread)\.(repeat:.*)$/s.exec(id);
  return scheduled?.[1] ?? id;
}

/** The id by which users know a job that is stored in a lane. */
export function publicId(lane: Lane, stored: string): string {
  return stored.startsWith("repeat:") ? jobId(lane, stored) : stored;
}

/** The lane in a job's id; undefined when it is the bare key that a user gave. */
export function laneOfJobId(id: string): Lane | undefined {
  return lanes.find((lane) => id.startsWith(`${lane}.`));
}
