/** A live worker as others see it: the queues that it serves, and the tasks that it knows, with their versions. */
export interface ServingWorker {
  readonly id: string;
  readonly queues: readonly string[];
  readonly tasks: Readonly<Record<string, number>>;
}

/** How often a worker says that it serves its queues; milliseconds. */
export const serveEvery = 5_000;
/** How long that holds: a worker that has said nothing for so long is dead or cut off. */
export const servesFor = 16_000;
