import type { LaneQueues } from "./lane-queues.ts";

/** Keeps workers from taking jobs of a queue, in either lane. Running jobs are left alone. */
export async function pauseQueue(queues: LaneQueues): Promise<void> {
  await queues.engine.connect();
  await queues.both((queue) => queue.pause());
}

/** Lets workers take jobs of a paused queue again. */
export async function resumeQueue(queues: LaneQueues): Promise<void> {
  await queues.engine.connect();
  await queues.both((queue) => queue.resume());
}
