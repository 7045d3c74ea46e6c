import { userInfo } from "node:os";
import { extname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { runMigrations } from "bullmq";
import type { IQueueBackend, Queue } from "bullmq";
import pg from "pg";
import { EngineUnavailableError, EngineUrlError } from "../../errors.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import type { Engine } from "../../contract/engine.ts";
import type { LockTerms } from "../../contract/lock-terms.ts";
import type { KeptSubmission, StoredJob } from "../../contract/stored-job.ts";
import type { AnyBackend } from "../../bullmq/any-backend.ts";
import { codeOf } from "../../error-code.ts";
import { messageOf } from "../../message-of.ts";
import { BackendDriver } from "../../consumer/backend-driver.ts";
import { CheckedDriver } from "../../consumer/checked-driver.ts";
import { addByBullMQ, driverQueue } from "../../consumer/driver-queue.ts";
import { unknownLayoutWarning } from "../../consumer/unknown-layout.ts";
import type { LaneTurns } from "../../contract/lane-driver.ts";
import type { LaneQueue } from "../../contract/lane-queue.ts";
import { installFunctions } from "./driver/install-functions.ts";
import { installJournal } from "./journal/install-journal.ts";
import { PostgresLimits, installLimits } from "./limits/postgres-limits.ts";
import { DELIVER_CHANNEL, PostgresJournal } from "./journal/postgres-journal.ts";
import { knowsLayout } from "./driver/layout.ts";
import { PostgresDriver } from "./driver/postgres-driver.ts";
import { sessionOf } from "./driver/sql-session.ts";
import type { SqlSession } from "./driver/sql-session.ts";
import { SqlEngine } from "../sql/sql-engine.ts";
import { settleWithin } from "@taskloom/loop/timer";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "../../contract/job-record.ts";
import { serverLocks } from "../../contract/lock-terms.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import type { HistoryBucket, HistoryEntry, HistoryRange } from "../../contract/history.ts";
import { addHistory, createHistory, readHistory } from "./history-table.ts";
import { idsIn, queueNames, readRecords, renewAttempts } from "./job-records.ts";
import { countCancelled, lookupJobs, markCancelled, sealRun } from "./job-table.ts";
import { SCHEMA } from "./schema.ts";
import type { SqlPool } from "./job-table.ts";
import { claimLane, createLaneClaims, removeLapsedClaims } from "./lane-claims.ts";
import { dropKept, findKept } from "./kept-submission.ts";
import { patientQuery } from "./patient-query.ts";
import { createRetention, recordRetention, removeEnded, removeExpired } from "./retention.ts";
import { postgresBackend } from "./postgres-backend.ts";
import { postgresTransient } from "./postgres-transient.ts";
import type { Transient } from "../../contract/transient.ts";
import { createServing, serve, servingWorkers, stopServing } from "./serving-table.ts";
import type { TaskLane } from "../../contract/lane.ts";
import type { JobEnd } from "../../contract/retention.ts";
import { withoutPassword } from "../../contract/without-password.ts";
import { NotificationChannel } from "./notification-channel.ts";
import { NotifyReplies } from "./notify-replies.ts";
import { Session } from "./session.ts";

const CONNECT_TIMEOUT_MS = 5_000;
/** The module that the renewing thread imports. */
const RENEWAL_MODULE = new URL(`./renewal-connection${extname(import.meta.url)}`, import.meta.url).href;

/** How often the engine asks whether the server still answers. */
const HEARTBEAT_MS = 1_000;
/** How long closing waits for the connections of the pool. */
const CLOSE_TIMEOUT_MS = 1_000;
/** How many characters of a reason a worker receives. PostgreSQL bounds the size of a notification. */
const MAX_NOTIFIED_REASON = 1_000;

/** BullMQ's PostgreSQL backend on a PostgreSQL server. */
export class PostgresEngine extends SqlEngine implements Engine {
  readonly url: string;
  readonly replies: NotifyReplies;
  readonly journal: PostgresJournal;
  readonly limits: PostgresLimits;
  readonly locks: LockTerms;
  readonly #pool: pg.Pool;
  /** The pool without the repetition of statements. */
  readonly #session: SqlSession;
  readonly #warnOfLayout: (laneName: string) => void = unknownLayoutWarning();
  readonly #channel: NotificationChannel;
  protected readonly backend: AnyBackend = postgresBackend(() => this.connect());
  protected readonly connection: pg.Pool;
  readonly #warnings = new Set<string>();
  #heartbeat: NodeJS.Timeout | undefined;

  private constructor(url: string) {
    super();
    this.url = withoutPassword(url);
    // BullMQ's own commands name no schema, so every connection selects the schema at its start.
    const config = {
      connectionString: withUser(url),
      options: `-c search_path=${SCHEMA}`,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    };
    this.locks = serverLocks(1_000, { module: RENEWAL_MODULE, server: config });
    this.#pool = new pg.Pool({ ...config, max: 20, keepAlive: true, Client: Session });
    const query = this.#pool.query.bind(this.#pool) as SqlPool["query"];
    this.#session = sessionOf({ query });
    // Each statement is a transaction of its own, so it can be repeated.
    this.#pool.query = ((...args: Parameters<typeof query>) =>
      patientQuery(() => query(...args))) as pg.Pool["query"];
    this.connection = this.#pool;
    this.#pool.setMaxListeners(0); // Each queue and each reader of events of BullMQ listens for errors.
    this.#pool.on("error", () => {}); // An idle connection was lost, and the pool opens another one.
    this.#channel = new NotificationChannel(config, () => this.replies.gap());
    this.replies = new NotifyReplies(this.#pool, this.#channel);
    this.journal = new PostgresJournal({
      schema: SCHEMA,
      pool: sessionOf(this.#pool),
      ready: () => this.connect(),
      listen: (channel, listener) => this.#channel.listen(channel, listener),
      now: () => this.now(),
    });
    this.limits = new PostgresLimits({
      schema: SCHEMA,
      pool: sessionOf(this.#pool),
      ready: () => this.connect(),
      now: () => this.now(),
    });
  }

  override openLane(name: string): LaneQueue {
    const queue = this.openQueue(name);
    return driverQueue(queue, this.#driverOf(name, queue, queue.backend));
  }

  protected override turnsOf(name: string, backend: IQueueBackend): LaneTurns {
    return this.#driverOf(name, this.openQueue(name), backend);
  }

  #driverOf(name: string, queue: Queue, backend: IQueueBackend): CheckedDriver {
    return new CheckedDriver({
      driver: new PostgresDriver({
        pool: this.#session,
        schema: SCHEMA,
        queue,
        deliverChannel: DELIVER_CHANNEL,
      }),
      fallback: new BackendDriver(backend),
      addByBullMQ: addByBullMQ(queue),
      isKnown: async () => {
        await this.connect();
        return await knowsLayout(this.#session, SCHEMA);
      },
      onUnknown: () => this.#warnOfLayout(name),
    });
  }

  protected override async lastEvent(laneName: string): Promise<number> {
    const { rows } = await this.#pool.query<{ last: string | null }>(
      `SELECT max(id) AS last FROM ${SCHEMA}.event WHERE queue = $1`,
      [laneName],
    );
    return Number(rows[0]?.last ?? 0);
  }

  static open(url: string): PostgresEngine {
    if (!URL.canParse(url) || new URL(url).hostname === "") {
      throw new EngineUrlError(
        `${withoutPassword(url)} is not a PostgreSQL address; use one such as postgres://127.0.0.1:5432/taskloom`,
      );
    }
    return new PostgresEngine(url);
  }

  protected async open(): Promise<void> {
    try {
      await patientQuery(() => this.#prepare());
    } catch (error) {
      const reason = messageOf(error) || `${codeOf(error) ?? "no connection"}`;
      throw new EngineUnavailableError(
        `PostgreSQL at ${this.url} cannot be used (${reason}); start it or correct the address`,
        { cause: error },
      );
    }
    if (this.life.isOpen) this.#heartbeat = setInterval(() => void this.#beat(), HEARTBEAT_MS).unref();
  }

  async #prepare(): Promise<void> {
    const client = await this.#pool.connect();
    let isReady = false;
    try {
      await runMigrations(client, SCHEMA);
      // A newer layout of BullMQ may not accept the functions, and is used by BullMQ's own commands.
      if (await knowsLayout(sessionOf(client), SCHEMA)) await installFunctions(sessionOf(client), SCHEMA);
      await installJournal(sessionOf(client), SCHEMA);
      await installLimits(sessionOf(client), SCHEMA);
      await createLaneClaims(client);
      await createRetention(client);
      await createServing(client);
      await createHistory(client);
      await this.#readClock(client);
      const { rows } = await client.query<{ synchronous_commit: string }>("SHOW synchronous_commit");
      if (rows[0]?.synchronous_commit === "off") {
        this.#warnings.add(
          `${this.url} acknowledges jobs before they are on disk: a crash of it loses the last ones (synchronous_commit is off).`,
        );
      }
      isReady = true;
    } finally {
      client.release(!isReady); // An idle connection would keep alive a process that has given up.
    }
  }

  async #readClock(client: pg.PoolClient | pg.Pool): Promise<void> {
    await this.clock.read(async () => {
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
        delay(CONNECT_TIMEOUT_MS, undefined, { ref: false }).then(() => Promise.reject(new Error("slow"))),
      ]);
      this.recordAnswer(true);
      await removeLapsedClaims(this.#pool);
    } catch {
      this.recordAnswer(false);
    }
  }

  warnings(): readonly string[] {
    return [...this.#warnings];
  }

  async cancel(laneName: string, id: string, reason: string): Promise<CancelAnswer> {
    const { answer, request } = await markCancelled(this.#pool, laneName, id, reason);
    if (request !== undefined) {
      const payload = JSON.stringify({ ...request.request, reason: reason.slice(0, MAX_NOTIFIED_REASON) });
      await this.#pool.query("SELECT pg_notify($1, $2)", [channelOf(request.workerId), payload]);
    }
    return answer;
  }

  seal(laneName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer> {
    return sealRun(this.#pool, laneName, id, token, attemptsStarted);
  }

  onCancelRequest(workerId: string, listener: (request: CancelRequest) => void): () => void {
    return this.#channel.listen(channelOf(workerId), (payload) => {
      const request: CancelRequest = JSON.parse(payload);
      listener(request);
    });
  }

  lookup(laneName: string, ids: readonly string[]): Promise<StoredJob[]> {
    return lookupJobs(this.#pool, laneName, ids);
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

  removeEnded(laneName: string, ids: readonly string[]): Promise<string[]> {
    return removeEnded(this.#pool, laneName, ids);
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

  queueNames(): Promise<string[]> {
    return queueNames(this.#pool);
  }

  claimLane(queue: string, lane: TaskLane, ids: readonly string[]): Promise<ReadonlySet<string>> {
    return claimLane(this.#pool, queue, lane, ids);
  }

  findKept(laneName: string, key: string): Promise<KeptSubmission | undefined> {
    return findKept(this.#pool, laneName, key);
  }

  dropKept(laneName: string, key: string, id: string): Promise<boolean> {
    return dropKept(this.#pool, laneName, key, id);
  }

  recordEnd(laneName: string, end: JobEnd): void {
    // If this process dies right now, the job keeps the default retention; see keptForCertain.
    recordRetention(this.#pool, laneName, end).catch(() => {});
  }

  removeExpired(laneName: string, now: number = this.now()): Promise<void> {
    return removeExpired(this.#pool, laneName, now);
  }

  countCancelled(laneName: string): Promise<number> {
    return countCancelled(this.#pool, laneName);
  }

  addHistory(entries: readonly HistoryEntry[]): Promise<void> {
    return addHistory(this.#pool, entries, this.now());
  }

  readHistory(range: HistoryRange): Promise<HistoryBucket[]> {
    return readHistory(this.#pool, range);
  }

  transient(error: unknown): Transient | undefined {
    return postgresTransient(error);
  }

  protected async shut(): Promise<void> {
    clearInterval(this.#heartbeat);
    await this.#channel.close();
    // The pool ends when every connection has been released, and a connection can be stuck.
    await settleWithin(CLOSE_TIMEOUT_MS, this.#pool.end());
  }
}

/** Returns the address with the user of this process if it names none, as libpq does. `pg` reads $USER alone. */
function withUser(url: string): string {
  const parsed = new URL(url);
  if (parsed.username === "" && process.env["PGUSER"] === undefined) parsed.username = userInfo().username;
  return parsed.href;
}

function channelOf(workerId: string): string {
  return `taskloom_cancel_${workerId}`;
}
