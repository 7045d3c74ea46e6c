import { Queue } from "bullmq";

/** BullMQ's queue with an object as the data of every job. Data that is `null` or a text reads as `{}`; any client may have stored it. */
export class ObjectDataQueue extends Queue {
  override async getJob(id: string): ReturnType<Queue["getJob"]> {
    const job = await super.getJob(id);
    if (job !== undefined && (typeof job.data !== "object" || job.data === null)) job.data = {};
    return job;
  }
}
