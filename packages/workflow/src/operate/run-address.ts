import { laneQueueName, storedId } from "@taskloom/queue/lane";

/** The place of a stored run: its lane, and the id under which the engine stores its job. */
export interface RunAddress {
  readonly lane: string;
  readonly stored: string;
}

/** Returns the place of the run of an id in a queue. */
export function runAddress({ queue, id }: { readonly queue: string; readonly id: string }): RunAddress {
  return { lane: laneQueueName(queue, "workflow"), stored: storedId(id) };
}
