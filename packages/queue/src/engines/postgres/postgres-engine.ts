import { userInfo } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { FlowProducer, Queue, runMigrations } from "bullmq";
import pg from "pg";
import { repeatSettings } from "../../cron/repeat-strategy.ts";
import { EngineUnavailableError, EngineUrlError } from "../../errors.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import type { LaneProcessor, LaneWorkerOptions } from "../../contract/engine-worker.ts";
import type { Engine } from "../../contract/engine.ts";
import type { LockTerms } from "../../contract/lock-terms.ts";
import type { KeptSubmission, StoredJob } from "../../contract/stored-job.ts";
import { settleWithin } from "../../settle-within.ts";
import { EngineClock } from "../../contract/engine-clock.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "../../contract/job-record.ts";
import type { EngineWorker } from "../../contract/engine-worker.ts";
import type { FlowAdder, LaneQueue } from "../../contract/lane-queue.ts";
import { LaneWorker } from "../../bullmq/lane-worker.ts";
import { serverLocks } from "../../contract/lock-terms.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import { idsIn, queueNames, readRecords, renewAttempts } from "../sql/job-records.ts";
import { countCancelled, lookAtJobs, markCancelled, sealRun, schema } from "../sql/job-table.ts";
import type { SqlPool } from "../sql/job-table.ts";
import { claimLane, createLaneClaims, forgetLaneClaims } from "../sql/lane-claims.ts";
import { dropKept, findKept } from "../sql/kept-submission.ts";
import { patientQuery } from "../sql/patient-query.ts";
import { createRetention, forgetJobs, noteRetention } from "../sql/retention.ts";
import { sqlBackend } from "../sql/sql-backend.ts";
import { sqlTransient } from "../sql/sql-transient.ts";
import type { Transient } from "../../contract/transient.ts";
import { createServing, serve, servingWorkers, stopServing } from "../sql/serving-table.ts";
import type { Lane } from "../../contract/lane.ts";
import type { JobEnd } from "../../contract/retention.ts";
import { withoutPassword } from "../../contract/without-password.ts";
import { NotificationChannel } from "./notification-channel.ts";
import { NotifyReplies } from "./notify-replies.ts";
import { renewalModule } from "./renewal-connection.ts";
import { Session } from "./session.ts";

const connectTimeout = 5_000;
/** How often it is asked whether the server still answers; milliseconds. */
const heartbeat = 1_000;

/** BullMQ's PostgreSQL backend on a PostgreSQL server. */
export class PostgresEngine implements Engine {
  readonly url: string;
  readonly isLocal = false;
  readonly replies: NotifyReplies;
  readonly locks: LockTerms;
  readonly #pool: pg.Pool;
  readonly #channel: NotificationChannel;
  readonly #clock = new EngineClock();
  readonly #backend = sqlBackend(() => this.connect());
  #connecting: Promise<void> | undefined;
  readonly #warnings = new Set<string>();
  #downSince: number | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(url: string) {
    this.url = withoutPassword(url);
    // BullMQ's own commands name no schema, so each connection has to begin in it.
    const config = {
      connectionString: withUser(url),
      options: `-c search_path=${schema}`,
      connectionTimeoutMillis: connectTimeout,
    };
    this.locks = serverLocks(1_000, { module: renewalModule, server: config });
    this.#pool = new pg.Pool({ ...config, max: 20, keepAlive: true, Client: Session });
    const query = this.#pool.query.bind(this.#pool) as SqlPool["query"];
    // Nothing here holds a transaction over several statements.
    this.#pool.query = ((...args: Parameters<typeof query>) =>
      patientQuery(() => query(...args))) as pg.Pool["query"];
    this.#pool.on("error", () => {}); // An idle connection that was lost; the pool opens another.
    this.#channel = new NotificationChannel(config, () => this.replies.gap());
    this.replies = new NotifyReplies(this.#pool, this.#channel);
  }

  static open(url: string): PostgresEngine {
    if (!URL.canParse(url) || new URL(url).hostname === "") {
      throw new EngineUrlError(
        `${withoutPassword(url)} is not a PostgreSQL address; use one such as postgres://127.0.0.1:5432/taskloom.`,
      );
    }
    return new PostgresEngine(url);
  }

  connect(): Promise<void> {
    this.#connecting ??= this.#connect().catch((error: unknown) => {
      this.#connecting = undefined; // The server may be there the next time.
      throw error;
    });
    return this.#connecting;
  }

  async #connect(): Promise<void> {
    try {
      await patientQuery(() => this.#prepare());
    } catch (error) {
      const { message, code } = error as Error & { code?: string };
      throw new EngineUnavailableError(
        `PostgreSQL at ${this.url} cannot be used (${message || code || "no connection"}); start it or correct the address.`,
        { cause: error },
      );
    }
    if (!this.#closed) this.#heartbeat = setInterval(() => void this.#beat(), heartbeat).unref();
  }

  async #prepare(): Promise<void> {
    const client = await this.#pool.connect();
    let isReady = false;
    try {
      await runMigrations(client, schema);
      await createLaneClaims(client);
      await createRetention(client);
      await createServing(client);
      await this.#readClock(client);
      const { rows } = await client.query<{ synchronous_commit: string }>("SHOW synchronous_commit");
      if (rows[0]?.synchronous_commit === "off") {
        this.#warnings.add(
          `${this.url} acknowledges jobs before they are on disk: a crash of it loses the last ones (synchronous_commit is off).`,
        );
      }
      isReady = true;
    } finally {
      client.release(!isReady); // An idle connection would keep a process alive that gave up.
    }
  }

  async #readClock(client: pg.PoolClient | pg.Pool): Promise<void> {
    await this.#clock.read(async () => {
      const { rows } = await client.query<{ now: string }>(
        "SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now",
      );
      return Number(rows[0]?.now);
    });
  }

  async #beat(): Promise<void> {
    try {
      await Promise.race([
        this.#readClock(this.#pool),
        delay(connectTimeout, undefined, { ref: false }).then(() => Promise.reject(new Error("slow"))),
      ]);
      this.#downSince = undefined;
      await forgetLaneClaims(this.#pool);
    } catch {
      this.#downSince ??= performance.now();
    }
  }

  warnings(): readonly string[] {
    return [...this.#warnings];
  }

  openQueue(name: string): Queue {
    const options = { connection: this.#pool, skipMetasUpdate: true, settings: repeatSettings };
    const queue = new Queue(name, options, this.#backend);
    queue.on("error", () => {});
    return queue;
  }

  openLane(name: string): LaneQueue {
    return this.openQueue(name);
  }

  openFlows(): FlowAdder {
    const flows = new FlowProducer({ connection: this.#pool }, this.#backend);
    flows.on("error", () => {});
    return flows;
  }

  defer(callback: () => void): void {
    process.nextTick(callback);
  }

  openWorker(name: string, processor: LaneProcessor, options: LaneWorkerOptions): EngineWorker {
    return new LaneWorker(
      name,
      processor,
      sqlTransient,
      { ...options, connection: this.#pool },
      this.#backend,
    );
  }

  async cancel(laneName: string, id: string, reason: string): Promise<CancelAnswer> {
    const { answer, run } = await markCancelled(this.#pool, laneName, id, reason);
    if (run !== undefined) {
      const { workerId, token, attemptsStarted, startedAt } = run;
      const request: CancelRequest = {
        id,
        token,
        attemptsStarted,
        startedAt,
        reason: reason.slice(0, 1_000),
      };
      await this.#pool.query("SELECT pg_notify($1, $2)", [channelOf(workerId), JSON.stringify(request)]);
    }
    return answer;
  }

  seal(laneName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer> {
    return sealRun(this.#pool, laneName, id, token, attemptsStarted);
  }

  onCancelRequest(workerId: string, listener: (request: CancelRequest) => void): () => void {
    return this.#channel.listen(channelOf(workerId), (payload) =>
      listener(JSON.parse(payload) as CancelRequest),
    );
  }

  lookup(laneName: string, ids: readonly string[]): Promise<StoredJob[]> {
    return lookAtJobs(this.#pool, laneName, ids);
  }

  idsIn(
    laneName: string,
    state: StoredState,
    from: number,
    count: number,
    order: StateOrder,
  ): Promise<string[]> {
    return idsIn(this.#pool, laneName, state, from, count, order);
  }

  readRecords(
    laneName: string,
    ids: readonly string[],
    limits: FieldLimits,
  ): Promise<(JobRecord | undefined)[]> {
    return readRecords(this.#pool, laneName, ids, limits);
  }

  renewAttempts(laneName: string, id: string): Promise<void> {
    return renewAttempts(this.#pool, laneName, id);
  }

  serve(worker: ServingWorker): Promise<void> {
    return serve(this.#pool, worker);
  }

  stopServing(workerId: string): Promise<void> {
    return stopServing(this.#pool, workerId);
  }

  serving(): Promise<ServingWorker[]> {
    return servingWorkers(this.#pool);
  }

  /** Its jobs name it. */
  async recordQueue(): Promise<void> {}

  queueNames(): Promise<string[]> {
    return queueNames(this.#pool);
  }

  claimLane(queue: string, lane: Lane, ids: readonly string[]): Promise<ReadonlySet<string>> {
    return claimLane(this.#pool, queue, lane, ids);
  }

  findKept(laneName: string, key: string): Promise<KeptSubmission | undefined> {
    return findKept(this.#pool, laneName, key);
  }

  dropKept(laneName: string, key: string, id: string): Promise<boolean> {
    return dropKept(this.#pool, laneName, key, id);
  }

  recordEnd(laneName: string, end: JobEnd): void {
    // A process that dies right now leaves the job with the default; see keptForCertain.
    noteRetention(this.#pool, laneName, end).catch(() => {});
  }

  removeExpired(laneName: string, now: number = this.now()): Promise<void> {
    return forgetJobs(this.#pool, laneName, now);
  }

  countCancelled(laneName: string): Promise<number> {
    return countCancelled(this.#pool, laneName);
  }

  get clockOffset(): number {
    return this.#clock.offset;
  }

  now(): number {
    return Date.now() + this.#clock.offset;
  }

  transient(error: unknown): Transient | undefined {
    return sqlTransient(error);
  }

  downFor(): number {
    return this.#downSince === undefined ? 0 : performance.now() - this.#downSince;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    await this.#channel.close();
    // Ends when every connection is given back; one may be stuck.
    await settleWithin(1_000, this.#pool.end());
  }
}

/** As libpq does: without a user in the address, the one who runs the process (`pg` looks at $USER only). */
function withUser(url: string): string {
  const parsed = new URL(url);
  if (parsed.username === "" && process.env["PGUSER"] === undefined) parsed.username = userInfo().username;
  return parsed.href;
}

function channelOf(workerId: string): string {
  return `taskloom_cancel_${workerId}`;
}
