import type { JobsOptions, RateLimiterOptions } from "bullmq";
import type { LaneJob, LaneQueue, NewJob, StoredSchedule } from "../../contract/lane-queue.ts";
import { placeOfId } from "../../contract/shard-id.ts";
import type { JobData } from "../../wire/job-data.ts";
import { eachGroup } from "./by-shard.ts";
import type { JobPlaces } from "./job-places.ts";
import { setLimitPart, wholeLimit } from "./shard-limits.ts";
import type { Shards } from "./shards.ts";

/** The state of a job that is not stored. */
const GONE = "unknown";

/** One lane of a queue on all its shards. */
export class ShardedLane implements LaneQueue {
  readonly #name: string;
  readonly #shards: Shards;
  readonly #places: JobPlaces;
  readonly #lanes = new Map<number, LaneQueue>();

  constructor(name: string, shards: Shards, places: JobPlaces) {
    this.#name = name;
    this.#shards = shards;
    this.#places = places;
  }

  #lane(shard: number): LaneQueue {
    let lane = this.#lanes.get(shard);
    if (lane === undefined) this.#lanes.set(shard, (lane = this.#shards.engine(shard).openLane(this.#name)));
    return lane;
  }

  async #read<T>(shard: number, request: (lane: LaneQueue) => Promise<T>): Promise<T> {
    return await this.#shards.ask(shard, () => request(this.#lane(shard)));
  }

  async #write<T>(shard: number, request: (lane: LaneQueue) => Promise<T>): Promise<T> {
    return await this.#shards.ask(shard, () => request(this.#lane(shard)), "write");
  }

  /** Calls a function for the lane of each shard. */
  async #each<T>(request: (lane: LaneQueue, shard: number) => Promise<T>): Promise<T[]> {
    const shards = [...this.#shards.all.keys()];
    return await Promise.all(shards.map((shard) => this.#read(shard, (lane) => request(lane, shard))));
  }

  /** Returns the first answer of the shards that can have a key, which is not undefined. */
  async #first<T>(
    key: string,
    request: (lane: LaneQueue) => Promise<T | undefined | null>,
  ): Promise<T | undefined> {
    for (const shard of this.#places.ofKey(key)) {
      const answer = await this.#read(shard, request);
      if (answer !== undefined && answer !== null) return answer;
    }
    return undefined;
  }

  async getJobState(id: string): ReturnType<LaneQueue["getJobState"]> {
    return await this.#read(await this.#places.of(this.#name, id), (lane) => lane.getJobState(id));
  }

  async getJob(id: string): Promise<LaneJob | undefined> {
    return await this.#read(await this.#places.of(this.#name, id), (lane) => lane.getJob(id));
  }

  async getJobLogs(
    ...[id, ...range]: Parameters<LaneQueue["getJobLogs"]>
  ): ReturnType<LaneQueue["getJobLogs"]> {
    return await this.#read(await this.#places.of(this.#name, id), (lane) => lane.getJobLogs(id, ...range));
  }

  async getDeduplicationJobId(key: string): Promise<string | null> {
    return (await this.#first(key, (lane) => lane.getDeduplicationJobId(key))) ?? null;
  }

  async isPaused(): Promise<boolean> {
    return (await this.#each((lane) => lane.isPaused())).some(Boolean);
  }

  async pause(): Promise<void> {
    await this.#each((lane) => lane.pause());
  }

  async resume(): Promise<void> {
    await this.#each((lane) => lane.resume());
  }

  async getGlobalRateLimit(): Promise<RateLimiterOptions | null> {
    const texts = await this.#each((_, shard) => this.#shards.engine(shard).shardRecord().limit(this.#name));
    return await wholeLimit(
      texts.find((text) => text !== null),
      () => this.#read(0, (lane) => lane.getGlobalRateLimit()),
    );
  }

  async setGlobalRateLimit(max: number, duration: number): Promise<number> {
    const { count } = this.#shards.layout;
    const set = await this.#each((lane, shard) =>
      setLimitPart({ max, duration }, { shards: this.#shards, laneName: this.#name, lane, shard, count }),
    );
    return Math.max(...set);
  }

  async removeGlobalRateLimit(): Promise<number> {
    const removed = await this.#each(async (lane, shard) => {
      await this.#shards.engine(shard).shardRecord().keepLimit(this.#name, undefined);
      return await lane.removeGlobalRateLimit();
    });
    return Math.max(...removed);
  }

  async getJobCounts(...states: string[]): Promise<Record<string, number>> {
    const total: Record<string, number> = {};
    for (const counts of await this.#each((lane) => lane.getJobCounts(...states)))
      for (const [state, count] of Object.entries(counts)) total[state] = (total[state] ?? 0) + count;
    return total;
  }

  async add(name: string, data: JobData, opts: JobsOptions): Promise<{ readonly id?: string | undefined }> {
    const [added] = await this.addBulk([{ name, data, opts }]);
    return added!;
  }

  async addBulk(jobs: NewJob[]): Promise<{ readonly id?: string | undefined }[]> {
    const shards = await this.#shardsOf(jobs);
    return await eachGroup(jobs, shards, (shard, some) =>
      this.#write(shard, async (lane) => {
        const [only, ...others] = some;
        return others.length === 0
          ? [await lane.add(only!.name, only!.data, only!.opts)]
          : await lane.addBulk([...some]);
      }),
    );
  }

  /**
   * Returns the shard for each new job. While an earlier layout drains, its shard may have the job of an id or a key already;
   * the submission then goes there, and is folded into that job.
   */
  async #shardsOf(jobs: readonly NewJob[]): Promise<number[]> {
    const ids = jobs.map(({ opts }) => opts.jobId!);
    if (ids.some((id) => placeOfId(id).kind === "hashed")) await this.#shards.fresh();
    if (this.#shards.layout.earlier.length === 0)
      return ids.map((id) => this.#shards.candidates(placeOfId(id))[0]!);
    const shards = await this.#places.find(this.#name, ids);
    const keyed = jobs.flatMap(({ opts }, at) => (opts.deduplication === undefined ? [] : [at]));
    for (const at of keyed)
      shards[at] = await this.#shardOfKey(jobs[at]!.opts.deduplication!.id, shards[at]!);
    return shards;
  }

  /** Returns the shard that holds a deduplication key of an earlier layout, or else `target`. */
  async #shardOfKey(key: string, target: number): Promise<number> {
    for (const shard of this.#places.ofKey(key).toReversed()) {
      const holder = await this.#read(shard, (lane) => lane.getDeduplicationJobId(key));
      if (holder === null) continue;
      if ((await this.#read(shard, (lane) => lane.getJobState(holder))) !== GONE) return shard;
    }
    return target;
  }

  async upsertJobScheduler(
    ...[id, repeat, template]: Parameters<LaneQueue["upsertJobScheduler"]>
  ): Promise<unknown> {
    await this.#shards.fresh();
    const [target, ...others] = this.#places.ofKey(id);
    // Removed first: a schedule on two shards would run twice.
    for (const shard of others) await this.#write(shard, (lane) => lane.removeJobScheduler(id));
    return await this.#write(target!, (lane) => lane.upsertJobScheduler(id, repeat, template));
  }

  async getJobScheduler(id: string): Promise<StoredSchedule | undefined> {
    return await this.#first(id, (lane) => lane.getJobScheduler(id));
  }

  async getJobSchedulers(start: number, end: number, ascending: boolean): Promise<StoredSchedule[]> {
    const read = await this.#each((lane) => lane.getJobSchedulers(0, end, ascending));
    const next = (schedule: StoredSchedule): number => schedule.next ?? Infinity;
    const sorted = read.flat().toSorted((a, b) => (ascending ? next(a) - next(b) : next(b) - next(a)));
    return sorted.slice(start, end + 1);
  }

  async removeJobScheduler(id: string): Promise<boolean> {
    let isRemoved = false;
    for (const shard of this.#places.ofKey(id))
      if (await this.#write(shard, (lane) => lane.removeJobScheduler(id))) isRemoved = true;
    return isRemoved;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.close()));
  }
}
