import { extname } from "node:path";
import type { Queue } from "bullmq";
import { Lifecycle } from "@taskloom/loop/lifecycle";
import type { LifeState } from "@taskloom/loop/lifecycle";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import { closedEngine } from "../../contract/closed-engine.ts";
import type { Engine, NewJobPlace } from "../../contract/engine.ts";
import type { EngineWorker, LaneProcessor, LaneWorkerOptions } from "../../contract/engine-worker.ts";
import type { HistoryBucket, HistoryEntry, HistoryRange } from "../../contract/history.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "../../contract/job-record.ts";
import type { TaskLane } from "../../contract/lane.ts";
import type { LaneEventListener, LaneEvents } from "../../contract/lane-events.ts";
import type { FlowAdder, LaneQueue } from "../../contract/lane-queue.ts";
import { serverLocks } from "../../contract/lock-terms.ts";
import type { LockTerms } from "../../contract/lock-terms.ts";
import type { JobEnd } from "../../contract/retention.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import { homeKey, idOfKey, idOnShard, placeOfId, placeOfKey } from "../../contract/shard-id.ts";
import type { KeptSubmission, StoredJob } from "../../contract/stored-job.ts";
import type { TaskLimits } from "../../contract/task-limits.ts";
import type { Transient } from "../../contract/transient.ts";
import type { ShardsReport } from "../../contract/shards-report.ts";
import { ShardDownError } from "../../errors.ts";
import { redisTransient } from "../redis/redis-transient.ts";
import type { RedisEngine } from "../redis/redis-engine.ts";
import { newReplyAddress } from "../redis/reply-stream.ts";
import { byShard, eachGroup } from "./by-shard.ts";
import { readShards } from "./change-shards.ts";
import { JobPlaces } from "./job-places.ts";
import { mergedBuckets } from "./merged-buckets.ts";
import { ShardedFlows } from "./sharded-flows.ts";
import { ShardedJournal } from "./sharded-journal.ts";
import { ShardedLimits } from "./sharded-limits.ts";
import { ShardedLane } from "./sharded-lane.ts";
import { ShardedReplies } from "./sharded-replies.ts";
import { ShardedWorker } from "./sharded-worker.ts";
import { shardAddress } from "../../contract/shard-url.ts";
import { Shards } from "./shards.ts";
import { withLane } from "./with-lane.ts";
import { shardOfWorker, workerOnShard } from "./worker-ids.ts";

/** The module that the renewing thread imports. */
const RENEWAL_MODULE = new URL(`./renewal-connection${extname(import.meta.url)}`, import.meta.url).href;

/**
 * One queue on many Redis servers, or on many slots of a Redis Cluster. Each shard is an engine of its own, and this engine
 * asks the one that has a job, or all of them. docs/decisions/0020-shards.md has the reasons.
 */
export class ShardedEngine implements Engine {
  readonly url: string;
  readonly isLocal = false;
  readonly replies: ShardedReplies;
  readonly journal: ShardedJournal;
  readonly limits: TaskLimits;
  readonly shards: Shards;
  readonly #places: JobPlaces;
  readonly #life: Lifecycle;

  private constructor(url: string, isForChange: boolean) {
    const address = shardAddress(url);
    this.url = address.shown;
    this.#life = new Lifecycle(() => closedEngine(this.url));
    const replyAddress = newReplyAddress();
    this.shards = new Shards(address, replyAddress, isForChange);
    this.#places = new JobPlaces(this.shards);
    this.replies = new ShardedReplies(replyAddress, this.shards, this.#places);
    this.journal = new ShardedJournal(this.shards, this.#places);
    this.limits = new ShardedLimits(this.url, this.shards, this.#places);
  }

  /** @throws {@link EngineUrlError} if the URL names no servers, or an impossible number of shards. */
  static open(url: string): ShardedEngine {
    return new ShardedEngine(url, false);
  }

  /** Opens a queue whose layout the caller changes: the stored layout counts, whatever the address says. */
  static openForChange(url: string): ShardedEngine {
    return new ShardedEngine(url, true);
  }

  get state(): LifeState {
    return this.#life.state;
  }

  connect(): Promise<void> {
    return this.#life.start(() => this.shards.connect());
  }

  close(): Promise<void> {
    return this.#life.stop(() => this.shards.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  warnings(): readonly string[] {
    return [...new Set(this.shards.all.flatMap((engine) => engine.warnings()))];
  }

  /** Opens the queue on the first shard, which alone has the queues that are not those of Taskloom. */
  openQueue(name: string): Queue {
    return this.shards.engine(0).openQueue(name);
  }

  openLane(name: string): LaneQueue {
    return new ShardedLane(name, this.shards, this.#places);
  }

  openFlows(): FlowAdder {
    return new ShardedFlows(this.shards);
  }

  openWorker(name: string, processor: LaneProcessor, options: LaneWorkerOptions): EngineWorker {
    return new ShardedWorker(name, processor, options, { shards: this.shards, places: this.#places });
  }

  async openEvents(laneName: string, listener: LaneEventListener): Promise<LaneEvents> {
    const readers: Promise<LaneEvents>[] = [];
    const stopWatching = this.shards.watch({
      joins: (shard) => {
        const reader = this.shards.engine(shard).openEvents(laneName, listener);
        reader.catch(() => {}); // The first readers are awaited below.
        readers.push(reader);
      },
    });
    // A shard that does not answer reports its events from its return on.
    const up = new Set(this.shards.up());
    await Promise.all(readers.filter((_, shard) => up.has(shard)));
    return {
      close: async () => {
        stopWatching();
        await Promise.allSettled(readers.map(async (reader) => (await reader).close()));
      },
    };
  }

  defer(callback: () => void): void {
    process.nextTick(callback);
  }

  get locks(): LockTerms {
    const servers = this.shards.all.flatMap((engine) => {
      const address = engine.locks.renewal?.address;
      return address === undefined ? [] : [address.server];
    });
    return serverLocks(500, { module: RENEWAL_MODULE, server: servers });
  }

  newJobId({ key, limited, beside }: NewJobPlace): string {
    if (limited !== undefined) return idOfKey(homeKey(limited.lane, limited.task));
    if (key !== undefined) return idOfKey(key);
    const place = beside === undefined ? undefined : placeOfId(beside);
    return idOnShard(place?.kind === "named" ? place.shard : this.shards.nextShard());
  }

  shardOf(laneName: string, id: string): number {
    return this.#places.likely(laneName, id);
  }

  /** Asks the shard of a job. */
  async #ask<T>(
    laneName: string,
    id: string,
    request: (engine: RedisEngine) => Promise<T>,
    kind: "read" | "write" = "write",
  ): Promise<T> {
    return await this.shards.ask(await this.#places.of(laneName, id), request, kind);
  }

  /** Asks all shards. */
  async #askAll<T>(request: (engine: RedisEngine, shard: number) => Promise<T>): Promise<T[]> {
    return await Promise.all(
      [...this.shards.all.keys()].map((shard) => this.shards.ask(shard, (engine) => request(engine, shard))),
    );
  }

  /** Asks the shards that answer, for facts that each of them has. */
  async #askAny<T>(request: (engine: RedisEngine) => Promise<T>): Promise<T[]> {
    const up = this.shards.up();
    const asked = (up.length === 0 ? [0] : up).map((shard) => this.shards.ask(shard, request));
    const answers = await Promise.allSettled(asked);
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
    const [first] = answers;
    if (found.length === 0 && first?.status === "rejected") throw first.reason;
    return found;
  }

  async #eachShardOf<T>(
    laneName: string,
    ids: readonly string[],
    request: (engine: RedisEngine, ids: readonly string[]) => Promise<readonly T[]>,
    kind: "read" | "write" = "read",
  ): Promise<T[]> {
    const shards = await this.#places.find(laneName, ids);
    return await eachGroup(ids, shards, (shard, some) =>
      this.shards.ask(shard, (engine) => request(engine, some), kind),
    );
  }

  async cancel(laneName: string, id: string, reason: string): Promise<CancelAnswer> {
    return await this.#ask(laneName, id, (engine) => engine.cancel(laneName, id, reason));
  }

  async seal(laneName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer> {
    const shard = shardOfWorker(token) ?? this.#places.likely(laneName, id);
    return await this.shards.ask(
      shard,
      (engine) => engine.seal(laneName, id, token, attemptsStarted),
      "write",
    );
  }

  onCancelRequest(workerId: string, listener: (request: CancelRequest) => void): () => void {
    return this.shards.subscribe((engine, shard) =>
      engine.onCancelRequest(workerOnShard(workerId, shard), listener),
    );
  }

  async lookup(laneName: string, ids: readonly string[]): Promise<StoredJob[]> {
    return await this.#eachShardOf(laneName, ids, (engine, some) => engine.lookup(laneName, some));
  }

  /** Reads the ids of one shard after those of the other. {@link shardViews} has each shard in its own order. */
  async idsIn(
    laneName: string,
    state: StoredState,
    from: number,
    count: number,
    order: StateOrder,
  ): Promise<string[]> {
    const ids: string[] = [];
    let skip = from;
    for (const shard of this.shards.all.keys()) {
      if (ids.length >= count) break;
      const read = await this.shards.ask(shard, (engine) =>
        engine.idsIn(laneName, state, skip, count - ids.length, order),
      );
      ids.push(...read);
      if (read.length > 0) skip = 0;
      else if (skip > 0) skip -= Math.min(skip, await this.#lengthOf(shard, laneName, state));
    }
    return ids;
  }

  async #lengthOf(shard: number, laneName: string, state: StoredState): Promise<number> {
    return await withLane(this.shards.engine(shard), laneName, async (lane) => {
      const counts = await this.shards.ask(shard, () => lane.getJobCounts(state));
      return Object.values(counts).reduce((sum, each) => sum + each, 0);
    });
  }

  async readShards(): Promise<ShardsReport> {
    return await readShards(this);
  }

  shardViews(): readonly Pick<Engine, "idsIn" | "readRecords">[] {
    return [...this.shards.all.keys()].map((shard) => ({
      idsIn: (...query) => this.shards.ask(shard, (engine) => engine.idsIn(...query)),
      readRecords: (...query) => this.shards.ask(shard, (engine) => engine.readRecords(...query)),
    }));
  }

  async readRecords(
    laneName: string,
    ids: readonly string[],
    limits: FieldLimits,
  ): Promise<(JobRecord | undefined)[]> {
    return await this.#eachShardOf(laneName, ids, (engine, some) =>
      engine.readRecords(laneName, some, limits),
    );
  }

  async removeEnded(laneName: string, ids: readonly string[]): Promise<string[]> {
    const shards = await this.#places.find(laneName, ids);
    const removed = [...byShard(ids, shards)].map(([shard, some]) =>
      this.shards.ask(shard, (engine) => engine.removeEnded(laneName, some), "write"),
    );
    return (await Promise.all(removed)).flat();
  }

  async renewAttempts(laneName: string, id: string): Promise<void> {
    await this.#ask(laneName, id, (engine) => engine.renewAttempts(laneName, id));
  }

  async serve(worker: ServingWorker): Promise<void> {
    await this.#askAny((engine) => engine.serve(worker));
  }

  async stopServing(workerId: string): Promise<void> {
    await this.#askAny((engine) => engine.stopServing(workerId));
  }

  async serving(): Promise<ServingWorker[]> {
    const found = new Map<string, ServingWorker>();
    for (const workers of await this.#askAny((engine) => engine.serving()))
      for (const worker of workers) found.set(worker.id, worker);
    return [...found.values()].toSorted((a, b) => a.id.localeCompare(b.id));
  }

  async recordQueue(queue: string): Promise<void> {
    await this.#askAny((engine) => engine.recordQueue(queue));
  }

  async queueNames(): Promise<string[]> {
    return [...new Set((await this.#askAny((engine) => engine.queueNames())).flat())];
  }

  async claimLane(queue: string, lane: TaskLane, ids: readonly string[]): Promise<ReadonlySet<string>> {
    await this.shards.fresh();
    const shards = ids.map((id) => this.shards.candidates(placeOfKey(id))[0]!);
    const claimed = await eachGroup(ids, shards, async (shard, some) => {
      const taken = await this.shards.ask(shard, (engine) => engine.claimLane(queue, lane, some), "write");
      return some.map((id) => taken.has(id));
    });
    return new Set(ids.filter((_, at) => claimed[at]));
  }

  async findKept(laneName: string, key: string): Promise<KeptSubmission | undefined> {
    for (const shard of this.#places.ofKey(key)) {
      const kept = await this.shards.ask(shard, (engine) => engine.findKept(laneName, key));
      if (kept !== undefined) return kept;
    }
    return undefined;
  }

  async dropKept(laneName: string, key: string, id: string): Promise<boolean> {
    for (const shard of this.#places.ofKey(key))
      if (await this.shards.ask(shard, (engine) => engine.dropKept(laneName, key, id), "write")) return true;
    return false;
  }

  recordEnd(laneName: string, end: JobEnd): void {
    this.shards.engine(this.#places.likely(laneName, end.id)).recordEnd(laneName, end);
  }

  async removeExpired(laneName: string, now?: number): Promise<void> {
    await this.#askAny((engine) => engine.removeExpired(laneName, now));
  }

  async countCancelled(laneName: string): Promise<number> {
    const counts = await this.#askAll((engine) => engine.countCancelled(laneName));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Adds figures on one shard: the readers add up those of all shards. */
  async addHistory(entries: readonly HistoryEntry[]): Promise<void> {
    const [shard = 0] = this.shards.up();
    await this.shards.ask(shard, (engine) => engine.addHistory(entries), "write");
  }

  async readHistory(range: HistoryRange): Promise<HistoryBucket[]> {
    return mergedBuckets(await this.#askAny((engine) => engine.readHistory(range)));
  }

  now(): number {
    return this.shards.first.now();
  }

  get clockOffset(): number {
    return this.shards.first.clockOffset;
  }

  transient(error: unknown): Transient | undefined {
    return error instanceof ShardDownError ? "refused" : redisTransient(error);
  }

  /** Returns for how long no shard has answered. */
  downFor(): number {
    return Math.min(...[...this.shards.all.keys()].map((shard) => this.shards.downFor(shard)));
  }
}
