import type { LaneQueues } from "./lane-queues.ts";

/** Pauses all lanes of a queue: workers take no more jobs of it. Running jobs continue. */
export async function pauseQueue(queues: LaneQueues): Promise<void> {
  await queues.engine.connect();
  await queues.each((queue) => queue.pause());
}

/** Lets workers take jobs of a paused queue again. */
export async function resumeQueue(queues: LaneQueues): Promise<void> {
  await queues.engine.connect();
  await queues.each((queue) => queue.resume());
}
