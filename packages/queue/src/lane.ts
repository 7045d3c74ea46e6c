/** Where a worker runs a task: on its event loop, cooperatively, or on a thread, blocking. */
export type Lane = "loop" | "thread";

/** Both lanes, in the order in which they are shown. */
export const lanes: readonly Lane[] = ["loop", "thread"];

/**
 * The name of the BullMQ queue that holds one lane of a Taskloom queue. Each lane is a queue of its own, so that a
 * backlog of blocking jobs never delays cooperative ones.
 */
export function laneQueueName(queue: string, lane: Lane): string {
  return `${queue}.${lane}`;
}

/**
 * The id under which a job is stored. It carries its lane, because the id alone has to tell which BullMQ queue holds
 * the job; BullMQ reserves integers (its own counter) and `:` (its own separator).
 */
export function jobId(lane: Lane, key: string): string {
  return `${lane}.${key}`;
}

/** The lane in a job's id; undefined when it is the bare key that a user gave. */
export function laneOfJobId(id: string): Lane | undefined {
  return lanes.find((lane) => id.startsWith(`${lane}.`));
}
