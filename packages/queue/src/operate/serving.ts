import type { Engine } from "../contract/engine.ts";
import type { ServingWorker } from "../contract/serving.ts";

/**
 * Returns the reason for which no worker will run a job for now, in a sentence: no live worker serves its queue, or none
 * of those knows its task. Returns undefined if a worker will run the job.
 */
export function whyNotServed(
  workers: readonly ServingWorker[],
  queue: string,
  task?: string,
): string | undefined {
  const serving = workers.filter(({ queues }) => queues.includes(queue));
  if (serving.length === 0)
    return `No live worker serves queue ${queue}; its jobs wait until one does: taskloom worker MODULE --queue ${queue}`;
  if (task === undefined || serving.some(({ tasks }) => Object.hasOwn(tasks, task))) return undefined;
  return `None of the ${serving.length} live worker${serving.length === 1 ? "" : "s"} of queue ${queue} knows a task ${task}; its jobs wait for one that does`;
}

/** Reads the live workers, and returns the reason of {@link whyNotServed}. */
export async function unservedReason(
  engine: Engine,
  queue: string,
  task?: string,
): Promise<string | undefined> {
  return whyNotServed(await engine.serving(), queue, task);
}

/**
 * Reads the names of all queues of an engine: those that were used before, are served now, or are named by the caller.
 *
 * @param serving the live workers, if the caller has read them already.
 */
export async function allQueues(
  engine: Engine,
  named: readonly string[] = [],
  serving?: Promise<readonly ServingWorker[]>,
): Promise<string[]> {
  await engine.connect();
  const [used, workers] = await Promise.all([engine.queueNames(), serving ?? engine.serving()]);
  const others = [...used, ...workers.flatMap(({ queues }) => queues)].toSorted();
  return [...new Set([...named, ...others])];
}
