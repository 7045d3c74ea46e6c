import type { Job, JobsOptions, Queue } from "bullmq";
import type { LaneDriver } from "../contract/lane-driver.ts";
import type { LaneQueue, NewJob } from "../contract/lane-queue.ts";

/** BullMQ's own addition of many jobs, which returns their ids. */
export function addByBullMQ(queue: Queue): (jobs: readonly NewJob[]) => Promise<string[]> {
  const addBulk = queue.addBulk.bind(queue);
  return async (jobs) => (await addBulk([...jobs])).map(({ id }) => id!);
}

/** Makes a queue add its jobs by a driver, many in one step, and returns it. Of an added job only the id is known. */
export function driverQueue(queue: Queue, driver: LaneDriver): LaneQueue {
  queue.addBulk = async (jobs: { name: string; data: NewJob["data"]; opts?: JobsOptions }[]) => {
    const added = await driver.add(jobs.map(({ name, data, opts = {} }) => ({ name, data, opts })));
    return added.map((id) => {
      if (typeof id !== "string") throw id;
      return { id } as Job;
    });
  };
  queue.add = async (name: string, data: NewJob["data"], opts: JobsOptions = {}) => {
    const [job] = await queue.addBulk([{ name, data, opts }]);
    return job!;
  };
  return queue;
}
