import { Queue } from "bullmq";

/** BullMQ's queue, whose jobs have an object as their data: `null` or a text, which anyone may have stored, reads as `{}`. */
export class ObjectDataQueue extends Queue {
  override async getJob(id: string): ReturnType<Queue["getJob"]> {
    const job = await super.getJob(id);
    if (job !== undefined && (typeof job.data !== "object" || job.data === null)) job.data = {};
    return job;
  }
}
