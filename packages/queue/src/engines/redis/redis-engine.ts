import { once } from "node:events";
import { extname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { IQueueBackend, Queue, RedisQueueBackend } from "bullmq";
import { Cluster } from "ioredis";
import { EngineUnavailableError, ShardsDifferError } from "../../errors.ts";
import { LANE_CLAIM_MS } from "../../contract/engine.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import type { LaneProcessor, LaneWorkerOptions } from "../../contract/engine-worker.ts";
import type { Engine } from "../../contract/engine.ts";
import type { LaneTurns } from "../../contract/lane-driver.ts";
import type { LaneEventListener, LaneEvents } from "../../contract/lane-events.ts";
import type { LockTerms } from "../../contract/lock-terms.ts";
import type { KeptSubmission, StoredJob } from "../../contract/stored-job.ts";
import { readEvents } from "../../bullmq/read-events.ts";
import { BullEngine } from "../../bullmq/bull-engine.ts";
import { settleWithin } from "@taskloom/loop/timer";
import { countedAttempts } from "../../contract/job-record.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "../../contract/job-record.ts";
import type { EngineWorker } from "../../contract/engine-worker.ts";
import type { FlowAdder, LaneQueue } from "../../contract/lane-queue.ts";
import { LaneConsumer } from "../../consumer/lane-consumer.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import { serverLocks } from "../../contract/lock-terms.ts";
import type { Transient } from "../../contract/transient.ts";
import { withoutPassword } from "../../contract/without-password.ts";
import type { TaskLane } from "../../contract/lane.ts";
import type { JobEnd } from "../../contract/retention.ts";
import { repeatSettings } from "../../cron/repeat-strategy.ts";
import { BackendDriver } from "../../consumer/backend-driver.ts";
import { deliveringTurnScript } from "./journal/delivering-turn.ts";
import { RedisJournal, journalScripts } from "./journal/redis-journal.ts";
import { limitScripts } from "./limits/limit-scripts.ts";
import { RedisLimits } from "./limits/redis-limits.ts";
import { RepeatingScripts } from "./repeating-scripts.ts";
import { WorkerMessages } from "./worker-messages.ts";
import { knowsLayout } from "./driver/layout.ts";
import { RedisDriver, driverScripts } from "./driver/redis-driver.ts";
import { UnrepeatedConnection } from "./unrepeated-connection.ts";
import { CheckedDriver } from "../../consumer/checked-driver.ts";
import { addByBullMQ, driverQueue } from "../../consumer/driver-queue.ts";
import { unknownLayoutWarning } from "../../consumer/unknown-layout.ts";
import { claimLaneScript } from "./claim-lane-script.ts";
import { RedisCancellation } from "./redis-cancellation.ts";
import { dropKept, findKept } from "./kept-submission.ts";
import { EventStreams } from "./event-streams.ts";
import { FlowConnection } from "./flow-connection.ts";
import { HistoryKeys } from "./history-keys.ts";
import type { HistoryBucket, HistoryEntry, HistoryRange } from "../../contract/history.ts";
import { idsIn, readRecords } from "./job-records.ts";
import { ReadableQueue, listOf, parsedOr, takeUnreadable } from "./readable-jobs.ts";
import { removeEndedScript } from "./remove-ended-script.ts";
import { renewAttemptsScript } from "./renew-attempts-script.ts";
import type { RenewalServer } from "./renewal-connection.ts";
import { defineScript } from "./script.ts";
import type { Script } from "./script.ts";
import { ServingKeys } from "./serving-keys.ts";
import { connectionFailure } from "./connection-failure.ts";
import { inspectServers, refuseNodeOfCluster } from "./inspect-servers.ts";
import { watchClient, watchKey } from "./heartbeat.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { checkRedisUrl } from "./check-redis-url.ts";
import { openRedis, prefixAt, unrepeating } from "./redis-client.ts";
import type { RedisClient } from "./redis-client.ts";
import { redisTransient } from "./redis-transient.ts";
import { RedisRetention } from "./redis-retention.ts";
import { ReplyStream, newReplyAddress, sendBehindScript } from "./reply-stream.ts";
import { readClusterRanges } from "./cluster-ranges.ts";
import type { ClusterRange } from "./cluster-ranges.ts";
import { ShardRecordKey, refuseShards } from "./shard-record-key.ts";

/** The module that the renewing thread imports. */
const RENEWAL_MODULE = new URL(`./renewal-connection${extname(import.meta.url)}`, import.meta.url).href;

/** How long closing waits for the answers to earlier commands. */
const QUIT_TIMEOUT_MS = 500;
const CONNECT_TIMEOUT_MS = 5_000;
/** The name of the script of a turn that delivers ends to durable runs. */
const DELIVERING_TURN = "taskloomTurnDelivering";
/** How often the offset of the server's clock is measured. */
const CLOCK_INTERVAL_MS = 60_000;
/** A connection that has been silent for so many heartbeats is closed. */
const MAX_SILENT_BEATS = 3;

/** The settings of an engine that stores one shard of several. */
export interface ShardSettings {
  /** The prefix of the keys; in a cluster its hash tag chooses the slot of the shard. */
  readonly prefix: string;
  /** The address at which this process receives replies, on all shards. */
  readonly replyAddress: string;
}

/** BullMQ on a Redis server or a Redis Cluster, through ioredis. */
export class RedisEngine extends BullEngine implements Engine {
  readonly url: string;
  readonly replies: ReplyStream;
  readonly journal: RedisJournal;
  readonly limits: RedisLimits;
  readonly #messages: WorkerMessages;
  readonly #cancellation: RedisCancellation;
  readonly #events: EventStreams;
  readonly #retention: RedisRetention;
  readonly locks: LockTerms;
  readonly #client: RedisClient;
  /** The connection for additions, for turns, and for the replies that go behind them. It repeats no command. */
  readonly #turns: UnrepeatedConnection;
  readonly #prefix: string;
  readonly #isShard: boolean;
  readonly #serving: ServingKeys;
  readonly #history: HistoryKeys;
  readonly #claimLane: Script<(0 | 1)[]>;
  readonly #renewAttempts: Script<number>;
  readonly #removeEnded: Script<string[]>;
  readonly #warnOfLayout: (laneName: string) => void = unknownLayoutWarning();
  #warnings: ReadonlySet<string> = new Set();
  #clockTimer: NodeJS.Timeout | undefined;
  readonly #heartbeats: Heartbeat[] = [];
  readonly #flows: FlowConnection[] = [];
  #lastError: Error | undefined;
  /** Whether a lost connection is opened again. Before the first connection it is, if BullMQ's objects wait for it. */
  #keepsTrying = false;

  private constructor(url: string, shard: ShardSettings | undefined) {
    super();
    this.url = withoutPassword(url);
    this.#isShard = shard !== undefined;
    this.#prefix = shard?.prefix ?? prefixAt(url);
    const server: RenewalServer = { url, prefix: this.#prefix };
    this.locks = serverLocks(500, { module: RENEWAL_MODULE, server });
    this.#client = openRedis(url, {
      connectTimeout: CONNECT_TIMEOUT_MS,
      // If the first connection fails, connect() rejects, and the next use connects again.
      retryStrategy: (times) => (this.#keepsTrying ? Math.min(50 * times, 1_000) : null),
      // Left off on purpose: with it, BullMQ's throughput falls by 40 %.
      enableAutoPipelining: false,
    });
    // connect() reports the first error, and downFor() shows the others.
    this.#client.on("error", (error: Error) => (this.#lastError ??= error));
    this.#client.on("node error", (error: Error) => (this.#lastError = error)); // It has more details than the cluster's own error.
    this.#client.on("close", () => this.recordAnswer(false));
    this.#client.on("ready", () => this.recordAnswer(true));
    this.#claimLane = defineScript(this.#client, "taskloomClaimLane", claimLaneScript);
    this.#renewAttempts = defineScript(this.#client, "taskloomRenewAttempts", renewAttemptsScript, 2);
    this.#removeEnded = defineScript(this.#client, "taskloomRemoveEnded", removeEndedScript, 6);
    const scripts = () => ({
      ...driverScripts(),
      [DELIVERING_TURN]: deliveringTurnScript(),
      taskloomReply: sendBehindScript,
    });
    this.#turns = new UnrepeatedConnection(() => unrepeating(this.#client), scripts, MAX_SILENT_BEATS);
    this.#serving = new ServingKeys(this.#client, this.#prefix);
    this.#history = new HistoryKeys(this.#client, this.#prefix);
    this.#messages = new WorkerMessages(this.#client, MAX_SILENT_BEATS);
    this.#cancellation = new RedisCancellation(this.#client, this.#prefix, this.#messages);
    this.journal = this.#openJournal();
    this.limits = this.#openLimits();
    this.#events = new EventStreams(this.#client, this.#prefix);
    this.#retention = new RedisRetention(this.#client, this.#prefix, {
      openQueue: (name) => this.openQueue(name),
      onRemoved: (laneName, ids) => this.journal.forget(laneName, ids),
    });
    this.replies = new ReplyStream(
      this.#client,
      this.#prefix,
      shard?.replyAddress ?? newReplyAddress(),
      (keys, values) => this.#turns.run("taskloomReply", keys, values),
    );
  }

  #openJournal(): RedisJournal {
    const client = this.#client;
    const channel = this.#deliverChannel();
    return new RedisJournal({
      prefix: this.#prefix,
      scripts: new RepeatingScripts(client, journalScripts),
      scan: (key, cursor) => client.sscan(key, cursor, "COUNT", 500),
      listen: (workerId, listener) => this.#messages.listen(`${channel}${workerId}`, listener),
      channel,
      now: () => this.now(),
    });
  }

  #openLimits(): RedisLimits {
    const client = this.#client;
    return new RedisLimits({
      prefix: this.#prefix,
      scripts: new RepeatingScripts(client, limitScripts),
      scan: (key, cursor) => client.hscan(key, cursor, "COUNT", 500),
      now: () => this.now(),
    });
  }

  /** Returns the start of the channels on which the owners of durable runs are notified of deliveries. */
  #deliverChannel(): string {
    return `${this.#prefix}:deliver:`;
  }

  /** @throws {@link EngineUrlError} if the URL is neither a server's nor a cluster's. */
  static open(url: string, shard?: ShardSettings): RedisEngine {
    checkRedisUrl(url);
    return new RedisEngine(url, shard);
  }

  /** Returns the record of the queue's shards under a prefix; without one, under that of this engine. */
  shardRecord(prefix: string = this.#prefix): ShardRecordKey {
    this.#beginToConnect();
    return new ShardRecordKey(this.#client, prefix);
  }

  /** Adds to the marker of a lane, so that another worker that waits for its jobs looks for them. */
  async passNewsOn(laneName: string): Promise<void> {
    await this.#client.zadd(`${this.#prefix}:${laneName}:marker`, 0, "0");
  }

  /** Returns the masters of a cluster with their slots; undefined for a single server. */
  async clusterSlots(): Promise<readonly ClusterRange[] | undefined> {
    return this.#client instanceof Cluster ? await readClusterRanges(this.#client) : undefined;
  }

  protected async open(): Promise<void> {
    this.#lastError = undefined;
    try {
      await Promise.race([
        this.#connected(),
        delay(CONNECT_TIMEOUT_MS, undefined, { ref: false }).then(() => {
          throw new Error(`no answer within ${CONNECT_TIMEOUT_MS} ms`);
        }),
      ]);
      this.#lastError = undefined;
      await refuseNodeOfCluster(this.#client, this.url);
      if (!this.#isShard) await refuseShards(new ShardRecordKey(this.#client, this.#prefix), this.url);
      await this.#readClock();
      this.#warnings = await inspectServers(this.#client, this.url);
    } catch (error) {
      const cause = this.#lastError ?? error;
      if (!this.#keepsTrying) await this.#closeFailed();
      if (error instanceof ShardsDifferError) throw error;
      const { reason, next } = connectionFailure(cause, this.url);
      throw new EngineUnavailableError(`Redis at ${this.url} cannot be used (${reason}); ${next}`, {
        cause,
      });
    }
    if (!this.life.isOpen) return;
    this.#keepsTrying = true;
    this.#heartbeats.push(watchClient(this.#client, MAX_SILENT_BEATS));
    if (this.#client instanceof Cluster)
      this.#heartbeats.push(watchKey(this.#client, this.#prefix, (answers) => this.recordAnswer(answers)));
    this.#clockTimer = setInterval(() => void this.#readClock().catch(() => {}), CLOCK_INTERVAL_MS).unref();
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

  /** Closes a connection that failed. */
  async #closeFailed(): Promise<void> {
    if (this.#client.status === "end") return;
    const ended = once(this.#client, "end");
    // `disconnect` waits for the server, which may never answer.
    if (this.#client instanceof Cluster) this.#client.disconnect();
    else this.#client.stream.destroy();
    await settleWithin(1_000, ended);
  }

  async #readClock(): Promise<void> {
    await this.clock.read(async () => {
      // The key selects the node of a cluster that has the jobs.
      const time = await this.#client.eval("return redis.call('TIME')", 1, this.#prefix);
      const [seconds, microseconds] = Array.isArray(time) ? time : [];
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

  override openLane(name: string): LaneQueue {
    const queue = this.openQueue(name);
    return driverQueue(queue, this.#driverOf(name, queue, queue.backend));
  }

  /** Connects, and repeats that until it succeeds: an object of BullMQ cannot be used again after its first connection failed. */
  #beginToConnect(): void {
    this.#keepsTrying = true;
    if (this.#client.status === "wait" || this.#client.status === "end")
      this.#client.connect().catch(() => {});
  }

  async openEvents(laneName: string, listener: LaneEventListener): Promise<LaneEvents> {
    const key = `${this.#prefix}:${laneName}:events`;
    const [newest] = await this.#client.xrevrange(key, "+", "-", "COUNT", 1);
    return readEvents(laneName, listener, {
      connection: this.#client,
      prefix: this.#prefix,
      lastEventId: newest?.[0] ?? "0-0",
    });
  }

  openFlows(): FlowAdder {
    const connect = (): RedisClient => unrepeating(this.#client);
    const flows = new FlowConnection(connect, this.#prefix, MAX_SILENT_BEATS);
    this.#flows.push(flows);
    return flows;
  }

  openWorker(name: string, processor: LaneProcessor, options: LaneWorkerOptions): EngineWorker {
    const worker = new LaneConsumer(name, processor, {
      ...options,
      connection: this.#client,
      prefix: this.#prefix,
      transient: redisTransient,
      turns: (backend) => this.#turnsOf(name, backend),
    });
    takeUnreadable(worker.backend as RedisQueueBackend);
    return worker;
  }

  #turnsOf(name: string, backend: IQueueBackend): LaneTurns {
    const driver = this.#driverOf(name, this.openQueue(name), backend);
    return {
      get claimLimit() {
        return driver.claimLimit;
      },
      passNewsOn: () => this.passNewsOn(name),
      turn: (ends, claim) => {
        if (ends.length > 0) this.#events.added(name, ends);
        return driver.turn(ends, claim);
      },
    };
  }

  #driverOf(name: string, queue: Queue, backend: IQueueBackend): CheckedDriver {
    const deliveries = {
      script: DELIVERING_TURN,
      prefix: `${this.#prefix}:`,
      channel: this.#deliverChannel(),
    };
    return new CheckedDriver({
      driver: new RedisDriver(queue, { connection: this.#turns, deliveries }),
      fallback: new BackendDriver(backend),
      addByBullMQ: addByBullMQ(queue),
      isKnown: () => knowsLayout(backend),
      onUnknown: () => this.#warnOfLayout(name),
    });
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
      const texts: readonly (string | null)[] = Array.isArray(fields) ? fields : [];
      const [name, finishedOn, returnvalue, failedReason, stacktrace, attempts, starts, progress] = texts;
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

  async removeEnded(laneName: string, ids: readonly string[]): Promise<string[]> {
    const base = `${this.#prefix}:${laneName}`;
    const keys = ["completed", "failed", "taskloom-cancelled", "events", "meta"].map(
      (key) => `${base}:${key}`,
    );
    const removed = await this.#removeEnded(`${base}:`, ...keys, ...ids);
    if (removed.length > 0) await this.journal.forget(laneName, removed);
    return removed;
  }

  async renewAttempts(laneName: string, id: string): Promise<void> {
    const base = `${this.#prefix}:${laneName}`;
    await this.#renewAttempts(`${base}:${id}`, `${base}:failed`, id);
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
    return this.#serving.recordQueue(queue);
  }

  queueNames(): Promise<string[]> {
    return this.#serving.queueNames();
  }

  async claimLane(queue: string, lane: TaskLane, ids: readonly string[]): Promise<ReadonlySet<string>> {
    const keys = ids.map((id) => `${this.#prefix}:${queue}:taskloom-lane:${id}`);
    const answers = await this.#claimLane(keys.length, ...keys, lane, LANE_CLAIM_MS);
    return new Set(ids.filter((_, at) => answers[at] === 1));
  }

  findKept(laneName: string, key: string): Promise<KeptSubmission | undefined> {
    return findKept(this.#client, `${this.#prefix}:${laneName}`, key);
  }

  dropKept(laneName: string, key: string, id: string): Promise<boolean> {
    return dropKept(this.#client, `${this.#prefix}:${laneName}`, key, id);
  }

  recordEnd(laneName: string, end: JobEnd): void {
    this.#retention.record(laneName, end);
  }

  async removeExpired(laneName: string, now: number = this.now()): Promise<void> {
    await this.#events.trim(laneName); // Progress and other clients add events, too.
    await this.#retention.removeExpired(laneName, now);
  }

  countCancelled(laneName: string): Promise<number> {
    return this.#retention.countCancelled(laneName);
  }

  addHistory(entries: readonly HistoryEntry[]): Promise<void> {
    return this.#history.add(entries, this.now());
  }

  readHistory(range: HistoryRange): Promise<HistoryBucket[]> {
    return this.#history.read(range);
  }

  transient(error: unknown): Transient | undefined {
    return redisTransient(error);
  }

  protected async shut(): Promise<void> {
    clearInterval(this.#clockTimer);
    for (const heartbeat of this.#heartbeats) heartbeat.stop();
    this.replies.close();
    this.#turns.close();
    this.#messages.close();
    for (const flows of this.#flows) void flows.close();
    // `quit` waits for the answers to earlier commands.
    await settleWithin(QUIT_TIMEOUT_MS, this.#client.quit());
    this.#client.disconnect();
  }
}
