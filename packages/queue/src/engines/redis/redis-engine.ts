import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Queue } from "bullmq";
import { Cluster } from "ioredis";
import { EngineUnavailableError } from "../../errors.ts";
import { LANE_CLAIM_MS } from "../../contract/engine.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import type { LaneProcessor, LaneWorkerOptions } from "../../contract/engine-worker.ts";
import type { Engine } from "../../contract/engine.ts";
import type { LockTerms } from "../../contract/lock-terms.ts";
import type { KeptSubmission, StoredJob } from "../../contract/stored-job.ts";
import { EngineClock } from "../../contract/engine-clock.ts";
import { settleWithin } from "../../settle-within.ts";
import { countedAttempts } from "../../contract/job-record.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "../../contract/job-record.ts";
import type { EngineWorker } from "../../contract/engine-worker.ts";
import type { FlowAdder, LaneQueue } from "../../contract/lane-queue.ts";
import { LaneWorker } from "../../bullmq/lane-worker.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import { serverLocks } from "../../contract/lock-terms.ts";
import type { Transient } from "../../contract/transient.ts";
import { withoutPassword } from "../../contract/without-password.ts";
import type { Lane } from "../../contract/lane.ts";
import type { JobEnd } from "../../contract/retention.ts";
import { repeatSettings } from "../../cron/repeat-strategy.ts";
import { batchEnds } from "../../bullmq/end-batches.ts";
import { claimLaneScript } from "./claim-lane-script.ts";
import { RedisCancellation } from "./redis-cancellation.ts";
import { dropKept, findKept } from "./kept-submission.ts";
import { EventStreams } from "./event-streams.ts";
import { FlowConnection } from "./flow-connection.ts";
import { idsIn, readRecords } from "./job-records.ts";
import { ReadableQueue, listOf, parsedOr, takeUnreadable } from "./readable-jobs.ts";
import { renewAttemptsScript } from "./renew-attempts-script.ts";
import { renewalModule } from "./renewal-connection.ts";
import type { RenewalServer } from "./renewal-connection.ts";
import { ServingKeys } from "./serving-keys.ts";
import { connectionFailure } from "./connection-failure.ts";
import { inspectServers, refuseNodeOfCluster } from "./inspect-servers.ts";
import { watchClient, watchKey } from "./heartbeat.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { checkRedisUrl, openRedis, prefixAt, unrepeating } from "./redis-client.ts";
import type { RedisClient } from "./redis-client.ts";
import { redisTransient } from "./redis-transient.ts";
import { RedisRetention } from "./redis-retention.ts";
import { ReplyStream } from "./reply-stream.ts";

const connectTimeout = 5_000;
/** A connection that has been silent for so many heartbeats is given up. */
const beatsAtMost = 3;

/** BullMQ on a Redis server or a Redis Cluster, through ioredis. */
export class RedisEngine implements Engine {
  readonly url: string;
  readonly isLocal = false;
  readonly replies: ReplyStream;
  readonly #cancellation: RedisCancellation;
  readonly #events: EventStreams;
  readonly #retention: RedisRetention;
  readonly locks: LockTerms;
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #clock = new EngineClock();
  readonly #serving: ServingKeys;
  #connecting: Promise<void> | undefined;
  #warnings: ReadonlySet<string> = new Set();
  #clockTimer: NodeJS.Timeout | undefined;
  readonly #heartbeats: Heartbeat[] = [];
  readonly #flows: FlowConnection[] = [];
  #downSince: number | undefined;
  #lastError: Error | undefined;
  /** Whether a lost connection is made again: not before the first one, unless BullMQ's objects wait for it. */
  #keepsTrying = false;
  #closed = false;

  private constructor(url: string) {
    this.url = withoutPassword(url);
    this.#prefix = prefixAt(url);
    const server: RenewalServer = { url, prefix: this.#prefix };
    this.locks = serverLocks(500, { module: renewalModule, server });
    this.#client = openRedis(url, {
      connectTimeout,
      // A first connection that fails ends its connect(); the next use begins anew.
      retryStrategy: (times) => (this.#keepsTrying ? Math.min(50 * times, 1_000) : null),
      // Left off on purpose: with it, BullMQ's throughput falls by 40 %.
      enableAutoPipelining: false,
    });
    // connect() reports the first, and downFor() the others.
    this.#client.on("error", (error: Error) => (this.#lastError ??= error));
    this.#client.on("node error", (error: Error) => (this.#lastError = error)); // Says more than a cluster's own.
    this.#client.on("close", () => this.#noteAnswers(false));
    this.#client.on("ready", () => this.#noteAnswers(true));
    this.#client.defineCommand("taskloomClaimLane", { lua: claimLaneScript });
    this.#client.defineCommand("taskloomRenewAttempts", { numberOfKeys: 2, lua: renewAttemptsScript });
    this.#serving = new ServingKeys(this.#client, this.#prefix);
    this.#cancellation = new RedisCancellation(this.#client, this.#prefix, beatsAtMost);
    this.#events = new EventStreams(this.#client, this.#prefix);
    this.#retention = new RedisRetention(this.#client, this.#prefix, (name) => this.openQueue(name));
    // Every job carries it: 96 random bits, in fewer characters than a UUID's.
    this.replies = new ReplyStream(this.#client, this.#prefix, randomBytes(12).toString("base64url"));
  }

  static open(url: string): RedisEngine {
    checkRedisUrl(url);
    return new RedisEngine(url);
  }

  connect(): Promise<void> {
    this.#connecting ??= this.#connect().catch((error: unknown) => {
      this.#connecting = undefined; // The next use asks again: the server may have come up.
      throw error;
    });
    return this.#connecting;
  }

  async #connect(): Promise<void> {
    if (this.#closed)
      throw new EngineUnavailableError(`The engine at ${this.url} was closed in this process.`);
    this.#lastError = undefined;
    try {
      await Promise.race([
        this.#connected(),
        delay(connectTimeout, undefined, { ref: false }).then(() => {
          throw new Error(`no answer within ${connectTimeout} ms`);
        }),
      ]);
      this.#lastError = undefined;
      await refuseNodeOfCluster(this.#client, this.url);
      await this.#readClock();
      this.#warnings = await inspectServers(this.#client, this.url);
    } catch (error) {
      const cause = this.#lastError ?? error;
      if (!this.#keepsTrying) await this.#letGo();
      const { reason, next } = connectionFailure(cause, this.url);
      throw new EngineUnavailableError(`Redis at ${this.url} cannot be used (${reason}); ${next}.`, {
        cause,
      });
    }
    this.#keepsTrying = true;
    this.#heartbeats.push(watchClient(this.#client, beatsAtMost));
    if (this.#client instanceof Cluster)
      this.#heartbeats.push(watchKey(this.#client, this.#prefix, (answers) => this.#noteAnswers(answers)));
    this.#clockTimer = setInterval(() => void this.#readClock().catch(() => {}), 60_000).unref();
  }

  #noteAnswers(answers: boolean): void {
    if (answers) this.#downSince = undefined;
    else this.#downSince ??= performance.now();
  }

  /** Resolves when the client is ready, and rejects when its next try to connect fails. */
  async #connected(): Promise<void> {
    const { status } = this.#client;
    if (status === "ready") return;
    if (status === "wait" || status === "end") return await this.#client.connect();
    // A BullMQ queue that was opened before has begun to connect already.
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onClose = (): void => reject(new Error("Connection is closed."));
    this.#client.once("ready", resolve).once("close", onClose);
    await promise.finally(() => this.#client.off("ready", resolve).off("close", onClose));
  }

  /** Ends what is left of a connection that failed. */
  async #letGo(): Promise<void> {
    if (this.#client.status === "end") return;
    const ended = once(this.#client, "end");
    // `disconnect` waits for the server, which may never answer.
    if (this.#client instanceof Cluster) this.#client.disconnect();
    else this.#client.stream.destroy();
    await settleWithin(1_000, ended);
  }

  async #readClock(): Promise<void> {
    await this.#clock.read(async () => {
      // Asked with a key, for the clock of that node of a cluster which has the jobs.
      const time = this.#client.eval("return redis.call('TIME')", 1, this.#prefix);
      const [seconds, microseconds] = (await time) as [string, string];
      return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
    });
  }

  warnings(): readonly string[] {
    return [...this.#warnings];
  }

  openQueue(name: string): Queue {
    this.#beginToConnect();
    const queue = new ReadableQueue(name, {
      connection: this.#client,
      prefix: this.#prefix,
      skipMetasUpdate: true,
      settings: repeatSettings,
    });
    queue.on("error", () => {});
    return queue.readBy(async (id) => (await this.readRecords(name, [id], {}))[0]);
  }

  /** An object of BullMQ's is of no more use when the connection that it began with fails; this one is tried again. */
  #beginToConnect(): void {
    this.#keepsTrying = true;
    if (this.#client.status === "wait" || this.#client.status === "end")
      this.#client.connect().catch(() => {});
  }

  openLane(name: string): LaneQueue {
    return this.openQueue(name);
  }

  openFlows(): FlowAdder {
    const connect = (): RedisClient => unrepeating(this.#client);
    const flows = new FlowConnection(connect, this.#prefix, beatsAtMost);
    this.#flows.push(flows);
    return flows;
  }

  defer(callback: () => void): void {
    process.nextTick(callback);
  }

  openWorker(name: string, processor: LaneProcessor, options: LaneWorkerOptions): EngineWorker {
    const worker = new LaneWorker(name, processor, redisTransient, {
      ...options,
      connection: this.#client,
      prefix: this.#prefix,
    });
    batchEnds(worker.backend, this.#client, () => worker.isAlone());
    takeUnreadable(worker.backend);
    this.#events.watch(name, worker.backend);
    return worker;
  }

  cancel(laneName: string, id: string, reason: string): Promise<CancelAnswer> {
    return this.#cancellation.cancel(laneName, id, reason);
  }

  seal(laneName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer> {
    return this.#cancellation.seal(laneName, id, token, attemptsStarted);
  }

  onCancelRequest(workerId: string, listener: (request: CancelRequest) => void): () => void {
    return this.#cancellation.onRequest(workerId, listener);
  }

  async lookup(laneName: string, ids: readonly string[]): Promise<StoredJob[]> {
    const pipeline = this.#client.pipeline();
    for (const id of ids) {
      pipeline.hmget(
        `${this.#prefix}:${laneName}:${id}`,
        "name",
        "finishedOn",
        "returnvalue",
        "failedReason",
        "stacktrace",
        "atm",
        "ats",
        "progress",
      );
    }
    const rows = (await pipeline.exec()) ?? [];
    return rows.map(([error, fields]): StoredJob => {
      if (error !== null) throw error;
      const [name, finishedOn, returnvalue, failedReason, stacktrace, attempts, starts, progress] =
        fields as (string | null)[];
      if (name == null) return { kind: "missing" };
      if (finishedOn == null) return { kind: "pending" };
      return {
        kind: "finished",
        attempts: countedAttempts(Number(attempts ?? 0), Number(starts ?? 0)),
        progress: parsedOr(undefined, progress),
        record: {
          failed: returnvalue == null,
          returnvalue: parsedOr(returnvalue, returnvalue),
          failedReason: failedReason ?? undefined,
          stacktrace: listOf(parsedOr([], stacktrace)),
        },
      };
    });
  }

  idsIn(
    laneName: string,
    state: StoredState,
    from: number,
    count: number,
    order: StateOrder,
  ): Promise<string[]> {
    return idsIn(this.#client, `${this.#prefix}:${laneName}`, state, from, count, order);
  }

  readRecords(
    laneName: string,
    ids: readonly string[],
    limits: FieldLimits,
  ): Promise<(JobRecord | undefined)[]> {
    return readRecords(this.#client, `${this.#prefix}:${laneName}`, ids, limits);
  }

  async renewAttempts(laneName: string, id: string): Promise<void> {
    const base = `${this.#prefix}:${laneName}`;
    const run = this.#client as unknown as { taskloomRenewAttempts(...args: string[]): Promise<number> };
    await run.taskloomRenewAttempts(`${base}:${id}`, `${base}:failed`, id);
  }

  serve(worker: ServingWorker): Promise<void> {
    return this.#serving.serve(worker, this.now());
  }

  stopServing(workerId: string): Promise<void> {
    return this.#serving.stop(workerId);
  }

  serving(): Promise<ServingWorker[]> {
    return this.#serving.all(this.now());
  }

  recordQueue(queue: string): Promise<void> {
    return this.#serving.noteQueue(queue);
  }

  queueNames(): Promise<string[]> {
    return this.#serving.queueNames();
  }

  async claimLane(queue: string, lane: Lane, ids: readonly string[]): Promise<ReadonlySet<string>> {
    const run = this.#client as unknown as {
      taskloomClaimLane(...args: (string | number)[]): Promise<(0 | 1)[]>;
    };
    const keys = ids.map((id) => `${this.#prefix}:${queue}:taskloom-lane:${id}`);
    const answers = await run.taskloomClaimLane(keys.length, ...keys, lane, LANE_CLAIM_MS);
    return new Set(ids.filter((_, at) => answers[at] === 1));
  }

  findKept(laneName: string, key: string): Promise<KeptSubmission | undefined> {
    return findKept(this.#client, `${this.#prefix}:${laneName}`, key);
  }

  dropKept(laneName: string, key: string, id: string): Promise<boolean> {
    return dropKept(this.#client, `${this.#prefix}:${laneName}`, key, id);
  }

  recordEnd(laneName: string, end: JobEnd): void {
    this.#retention.note(laneName, end);
  }

  async removeExpired(laneName: string, now: number = this.now()): Promise<void> {
    await this.#events.trim(laneName); // Progress and other clients add to it too.
    await this.#retention.forget(laneName, now);
  }

  countCancelled(laneName: string): Promise<number> {
    return this.#retention.countCancelled(laneName);
  }

  get clockOffset(): number {
    return this.#clock.offset;
  }

  now(): number {
    return Date.now() + this.#clock.offset;
  }

  transient(error: unknown): Transient | undefined {
    return redisTransient(error);
  }

  downFor(): number {
    return this.#downSince === undefined ? 0 : performance.now() - this.#downSince;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#clockTimer);
    for (const heartbeat of this.#heartbeats) heartbeat.stop();
    this.replies.close();
    this.#cancellation.close();
    for (const flows of this.#flows) void flows.close();
    // `quit` lets what was sent before it be answered.
    await settleWithin(500, this.#client.quit());
    this.#client.disconnect();
  }
}
