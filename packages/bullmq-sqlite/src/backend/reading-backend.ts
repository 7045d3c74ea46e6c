import type { DependenciesOpts, IQueueBackend, JobJson, JobState, JobType } from "bullmq";
import * as children from "./children.ts";
import { BackendConnection } from "./connection.ts";

/** The methods of a backend that read jobs, schedulers, settings and counts, and change nothing. */
export class ReadingBackend extends BackendConnection {
  async getState(jobId: string): Promise<JobState | "unknown"> {
    return await this.operations.run("getState", this.qualifiedName, jobId);
  }

  async isFinished(jobId: string, returnValue?: boolean): Promise<number | [number, string]> {
    const [status, value] = await this.operations.run("isFinished", this.qualifiedName, jobId);
    return returnValue === true ? [status, value] : status;
  }

  async isMaxed(): Promise<boolean> {
    return await this.operations.run("isQueueMaxed", this.qualifiedName);
  }

  async isJobInState(state: string, jobId: string): Promise<boolean> {
    return await this.operations.run("isJobInState", this.qualifiedName, state, jobId);
  }

  async getJobData(jobId: string): Promise<JobJson | undefined> {
    return await this.operations.run("getJobData", this.qualifiedName, jobId);
  }

  async getDeduplicationJobId(deduplicationId: string): Promise<string | null> {
    return await this.operations.run("keyHolder", this.qualifiedName, deduplicationId, Date.now());
  }

  async getJobLogs(
    jobId: string,
    start: number,
    end: number,
    asc: boolean,
  ): Promise<{ logs: string[]; count: number }> {
    return await this.operations.run("getJobLogs", this.qualifiedName, jobId, start, end, asc);
  }

  async getRateLimitTtl(maxJobs?: number): Promise<number> {
    return await this.operations.run("rateLimitTtl", this.qualifiedName, maxJobs, Date.now());
  }

  async getCounts(types: JobType[], delayedTimestamp?: number): Promise<number[]> {
    return await this.operations.run("getCounts", this.qualifiedName, types, delayedTimestamp);
  }

  async getCountsPerPriority(priorities: number[]): Promise<number[]> {
    return await this.operations.run("getCountsPerPriority", this.qualifiedName, priorities);
  }

  async getRanges(types: JobType[], start = 0, end = -1, asc = false): Promise<[string][]> {
    return (await this.operations.run("getRanges", this.qualifiedName, types, start, end, asc)) as [string][];
  }

  async getDependencyCounts(jobId: string, types: string[]): Promise<number[]> {
    return await children.countDependencies(this.operations, jobId, types);
  }

  async getDependencies(jobId: string, opts: DependenciesOpts): ReturnType<IQueueBackend["getDependencies"]> {
    return await children.getDependencies(this.operations, jobId, opts);
  }

  async getProcessedChildrenValues(jobId: string): Promise<Record<string, string>> {
    return await children.getProcessedValues(this.operations, jobId);
  }

  async getIgnoredChildrenFailures(jobId: string): Promise<Record<string, string>> {
    return await children.getIgnoredFailures(this.operations, jobId);
  }

  async paginate(
    key: string,
    opts: { start: number; end: number; fetchJobs?: boolean },
  ): ReturnType<IQueueBackend["paginate"]> {
    return await children.paginate(this.operations, key, opts);
  }

  async getMetrics(type: "completed" | "failed", start = 0, end = -1): Promise<[string[], string[], number]> {
    const { total, points, length } = await this.operations.run(
      "getMetrics",
      this.qualifiedName,
      type,
      start,
      end,
    );
    return [[total, "0", "0"], points, length];
  }

  async isJobScheduler(id: string): Promise<boolean> {
    return (await this.operations.run("getJobScheduler", this.qualifiedName, id)) !== undefined;
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- BullMQ's own signature
  async getJobScheduler(id: string): Promise<[any, string | null]> {
    const stored = await this.operations.run("getJobScheduler", this.qualifiedName, id);
    return stored === undefined ? [null, null] : [Object.entries(stored.fields).flat(), stored.next];
  }

  async getJobSchedulerData(key: string): Promise<Record<string, string>> {
    return (await this.operations.run("getJobScheduler", this.qualifiedName, key))?.fields ?? {};
  }

  async getJobSchedulersRange(start: number, end: number, asc: boolean): Promise<string[]> {
    return await this.operations.run("getJobSchedulersRange", this.qualifiedName, start, end, asc);
  }

  async getJobSchedulersCount(): Promise<number> {
    return await this.operations.run("countJobSchedulers", this.qualifiedName);
  }

  async getQueueMeta(): Promise<Record<string, string>> {
    return await this.operations.run("getMeta", this.qualifiedName);
  }

  async getQueueMetaField(field: string): Promise<string | null> {
    return (await this.getQueueMeta())[field] ?? null;
  }

  async getQueueMetaFields(fields: string[]): Promise<(string | null)[]> {
    const meta = await this.getQueueMeta();
    return fields.map((field) => meta[field] ?? null);
  }

  async hasQueueMetaField(field: string): Promise<boolean> {
    return (await this.getQueueMetaField(field)) !== null;
  }
}
