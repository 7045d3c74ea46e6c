import { Job } from "bullmq";
import type { Queue, RedisQueueBackend } from "bullmq";
import type { NewJob } from "../../../contract/lane-queue.ts";
import type { ScriptValue } from "./script-connection.ts";

type Entries = Parameters<RedisQueueBackend["addJobs"]>[0];

/**
 * Returns the values of the add script for a job that BullMQ's own script adds: the name of that script, the number of its
 * keys and of its values, and both. BullMQ's classes check the job and make the values; only the sending is left out.
 *
 * @throws the error with which BullMQ refuses the job.
 */
export async function bullValues(queue: Queue, job: NewJob): Promise<ScriptValue[]> {
  const { backend } = queue;
  let entries: Entries = [];
  const take = async (given: Entries): Promise<string[]> => {
    entries = given;
    return [];
  };
  // BullMQ's Job reads its queue's backend, so it adds itself to this one.
  const borrowed: Queue = Object.create(queue, {
    backend: { value: Object.create(backend, { addJobs: { value: take } }) },
  });
  const { jobId } = job.opts;
  await Job.createBulk(borrowed, [
    { ...job, opts: { ...queue.defaultJobOptions, ...job.opts, ...(jobId === undefined ? {} : { jobId }) } },
  ]);
  const [entry] = entries;
  let values: ScriptValue[] = [];
  const client = {
    runCommand: (command: string, args: (ScriptValue | null | undefined)[]): string => {
      const name = command.slice(0, command.indexOf(":"));
      const keys = NUMBER_OF_KEYS[name] ?? 0;
      values = [name, keys, args.length - keys, ...args.map((arg) => arg ?? "")];
      return "";
    },
  };
  if (entry !== undefined)
    await backend.addJobToTransaction(client as never, entry.job, entry.jobId, entry.parentKeyOpts);
  return values;
}

const NUMBER_OF_KEYS: Readonly<Record<string, number>> = {
  addStandardJob: 9,
  addDelayedJob: 6,
  addPrioritizedJob: 9,
};
