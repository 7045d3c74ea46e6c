import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Database, SqliteQueueBackend, createSqliteBackend } from "@taskloom/bullmq-sqlite";
import type { IQueueBackend } from "bullmq";
import type { TaskLane } from "../../contract/lane.ts";
import type { JobEnd } from "../../contract/retention.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import type { Engine } from "../../contract/engine.ts";
import type { LockTerms } from "../../contract/lock-terms.ts";
import type { KeptSubmission, StoredJob } from "../../contract/stored-job.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "../../contract/job-record.ts";
import { FOLDER_LOCKS } from "../../contract/lock-terms.ts";
import { anyBackend } from "../../bullmq/any-backend.ts";
import type { AnyBackend } from "../../bullmq/any-backend.ts";
import { codeOf } from "../../error-code.ts";
import { messageOf } from "../../message-of.ts";
import { driverQueue } from "../../consumer/driver-queue.ts";
import type { LaneTurns } from "../../contract/lane-driver.ts";
import type { LaneQueue } from "../../contract/lane-queue.ts";
import { SqlEngine } from "../sql/sql-engine.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import type { Transient } from "../../contract/transient.ts";
import { EmbeddedDatabaseError } from "./embedded-error.ts";
import { embeddedError } from "./embedded-failure.ts";
import type { HistoryBucket, HistoryEntry, HistoryRange } from "../../contract/history.ts";
import { addHistory, readHistory } from "./history-table.ts";
import { readEmbeddedUrl } from "./embedded-url.ts";
import { FolderReplies } from "./folder-replies.ts";
import { countCancelled, lookupJobs, markCancelled, rowsOf, sealRun } from "./job-statements.ts";
import {
  claimLane,
  createOwnTables,
  dropKept,
  findKept,
  recordRetention,
  removeEnded,
  removeExpired,
  serve,
  servingWorkers,
  stopServing,
} from "./own-tables.ts";
import { SqliteLimits, createLimitTables } from "./limits/sqlite-limits.ts";
import { SqliteJournal, createJournalTables } from "./journal/sqlite-journal.ts";
import { idsIn, queueNames, readRecords, renewAttempts } from "./record-statements.ts";
import { SqliteDriver, SqliteTurns } from "./sqlite-driver.ts";
import { sqliteTransient } from "./sqlite-transient.ts";

/** The engines of this process by folder. All users of a folder in one process share its database. */
const open = new Map<string, { engine: EmbeddedEngine; users: number }>();

/** The database's name in the folder. */
const FILE_NAME = "taskloom.sqlite";

/** BullMQ on a SQLite file, which a thread of this process uses. Other processes can share the folder. */
export class EmbeddedEngine extends SqlEngine implements Engine {
  readonly url: string;
  readonly folder: string;
  readonly replies: FolderReplies;
  readonly journal: SqliteJournal;
  readonly limits: SqliteLimits;
  readonly locks: LockTerms = FOLDER_LOCKS;
  readonly #sync: "full" | "normal";
  readonly #brokenListeners = new Set<(error: Error) => void>();
  protected readonly backend: AnyBackend;
  /** The backend opens the database by itself. */
  protected readonly connection = {};
  #database: Database | undefined;

  private constructor(folder: string, sync: "full" | "normal") {
    super();
    this.folder = folder;
    this.url = `embedded:${folder}${sync === "full" ? "" : "?sync=normal"}`;
    this.#sync = sync;
    this.replies = new FolderReplies(() => this.#connected());
    this.journal = new SqliteJournal(
      () => this.#connected(),
      () => this.now(),
    );
    this.limits = new SqliteLimits(
      () => this.#connected(),
      () => this.now(),
    );
    this.backend = this.#makeBackend();
  }

  /**
   * Returns the engine of a folder. All callers in this process receive the same engine, until the last one closes it.
   *
   * @throws {@link EngineUrlError} if the path names no folder or has a parameter other than `sync`.
   */
  static open(path: string): EmbeddedEngine {
    const { folder, sync } = readEmbeddedUrl(path);
    let entry = open.get(folder);
    if (entry === undefined) {
      entry = { engine: new EmbeddedEngine(folder, sync), users: 0 };
      open.set(folder, entry);
    }
    entry.users++;
    return entry.engine;
  }

  override async connect(): Promise<void> {
    if (this.#database?.ended !== undefined) throw embeddedError(this.folder, this.#database.ended);
    // One user that closes too often does not take the folder from the others, whose queues still have it open.
    if (this.#database !== undefined) return;
    await super.connect();
  }

  protected async open(): Promise<void> {
    try {
      await this.#open();
    } catch (error) {
      throw embeddedError(this.folder, error);
    }
  }

  async #open(): Promise<void> {
    if (existsSync(join(this.folder, "pgdata"))) {
      throw new EmbeddedDatabaseError(
        "EMBEDDED_VERSION",
        this.folder,
        `${this.folder} was written by Taskloom 0.1, whose embedded engine was PGlite. Run its jobs to their end with @taskloom/worker 0.1, or use another folder (embedded:PATH)`,
      );
    }
    await this.#makeFolder();
    const database = Database.use({ path: join(this.folder, FILE_NAME), sync: this.#sync });
    try {
      await database.ready();
      await createOwnTables(database);
      await createJournalTables(database);
      await createLimitTables(database);
    } catch (error) {
      await database.close();
      throw error;
    }
    this.#database = database;
    database.on("error", (error) => {
      this.recordAnswer(false);
      const broken = embeddedError(this.folder, error);
      for (const listener of this.#brokenListeners) listener(broken);
    });
  }

  async #makeFolder(): Promise<void> {
    try {
      await mkdir(this.folder, { recursive: true });
    } catch (error) {
      throw new EmbeddedDatabaseError(
        "EMBEDDED_PATH",
        this.folder,
        `${this.folder} cannot be made: ${messageOf(error)}; use another folder (embedded:PATH)`,
        { cause: error },
      );
    }
    // The data is not part of a project. If this file cannot be written, the database reports the reason.
    await writeFile(join(this.folder, ".gitignore"), "*\n", { flag: "wx" }).catch(() => {});
  }

  #makeBackend(): AnyBackend {
    return anyBackend<SqliteQueueBackend, unknown>((name, options, factoryOptions) => {
      const backend = createSqliteBackend(
        name,
        { ...options, connection: { path: join(this.folder, FILE_NAME), sync: this.#sync } },
        factoryOptions,
      );
      const waitUntilReady = backend.waitUntilReady.bind(backend);
      backend.waitUntilReady = async () => {
        await this.connect();
        await waitUntilReady();
      };
      // Only the lock of a canceller that died can lapse: the locks of workers last as long as their process.
      backend.moveStalledJobsToWait = async () =>
        await this.#connected().call(
          "moveStalledJobsToWait",
          name,
          Number.MAX_SAFE_INTEGER,
          Date.now(),
          0,
          true,
        );
      return backend;
    });
  }

  override openLane(name: string): LaneQueue {
    const queue = this.openQueue(name);
    return driverQueue(queue, new SqliteDriver(queue, sqliteBackendOf(queue.backend)));
  }

  protected override turnsOf(_name: string, backend: IQueueBackend): LaneTurns {
    return new SqliteTurns(sqliteBackendOf(backend));
  }

  protected override async lastEvent(laneName: string): Promise<number> {
    const [row] = await rowsOf(this.#connected(), [
      "SELECT last_event AS last FROM queue WHERE name = ?",
      [laneName],
    ]);
    return Number(row?.["last"] ?? 0);
  }

  warnings(): readonly string[] {
    return [];
  }

  #connected(): Database {
    if (this.#database === undefined)
      throw new TypeError("connect() has to resolve before the engine is used");
    if (this.#database.ended !== undefined) throw embeddedError(this.folder, this.#database.ended);
    return this.#database;
  }

  async cancel(laneName: string, id: string, reason: string): Promise<CancelAnswer> {
    const { answer, request } = await markCancelled(this.#connected(), laneName, id, reason);
    if (request !== undefined)
      this.#connected().post(cancelChannel(request.workerId), JSON.stringify(request.request));
    return answer;
  }

  async seal(laneName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer> {
    return await sealRun(this.#connected(), laneName, id, token, attemptsStarted);
  }

  onCancelRequest(workerId: string, listener: (request: CancelRequest) => void): () => void {
    const database = this.#connected();
    const onMessage = (channel: string, text: string): void => {
      if (channel === cancelChannel(workerId)) {
        const request: CancelRequest = JSON.parse(text);
        listener(request);
      }
    };
    database.on("message", onMessage);
    return () => database.off("message", onMessage);
  }

  async lookup(laneName: string, ids: readonly string[]): Promise<StoredJob[]> {
    return await lookupJobs(this.#connected(), laneName, ids);
  }

  async idsIn(
    laneName: string,
    state: StoredState,
    from: number,
    count: number,
    order: StateOrder,
  ): Promise<string[]> {
    return await idsIn(this.#connected(), laneName, state, from, count, order);
  }

  async readRecords(
    laneName: string,
    ids: readonly string[],
    limits: FieldLimits,
  ): Promise<(JobRecord | undefined)[]> {
    return await readRecords(this.#connected(), laneName, ids, limits);
  }

  async removeEnded(laneName: string, ids: readonly string[]): Promise<string[]> {
    return await removeEnded(this.#connected(), laneName, ids);
  }

  async renewAttempts(laneName: string, id: string): Promise<void> {
    await renewAttempts(this.#connected(), laneName, id);
  }

  async serve(worker: ServingWorker): Promise<void> {
    await serve(this.#connected(), worker, this.now());
  }

  async stopServing(workerId: string): Promise<void> {
    await stopServing(this.#connected(), workerId, this.now());
  }

  async serving(): Promise<ServingWorker[]> {
    return await servingWorkers(this.#connected(), this.now());
  }

  async queueNames(): Promise<string[]> {
    return await queueNames(this.#connected());
  }

  async claimLane(queue: string, lane: TaskLane, ids: readonly string[]): Promise<ReadonlySet<string>> {
    return await claimLane(this.#connected(), queue, lane, ids, this.now());
  }

  async findKept(laneName: string, key: string): Promise<KeptSubmission | undefined> {
    return await findKept(this.#connected(), laneName, key);
  }

  async dropKept(laneName: string, key: string, id: string): Promise<boolean> {
    return await dropKept(this.#connected(), laneName, key, id);
  }

  recordEnd(laneName: string, end: JobEnd): void {
    // If this process dies right now, the job keeps the default retention; see keptForCertain.
    if (this.#database !== undefined) recordRetention(this.#database, laneName, end);
  }

  async removeExpired(laneName: string, now: number = this.now()): Promise<void> {
    await removeExpired(this.#connected(), laneName, now);
  }

  async countCancelled(laneName: string): Promise<number> {
    return await countCancelled(this.#connected(), laneName);
  }

  async addHistory(entries: readonly HistoryEntry[]): Promise<void> {
    await addHistory(this.#connected(), entries, this.now());
  }

  async readHistory(range: HistoryRange): Promise<HistoryBucket[]> {
    return await readHistory(this.#connected(), range);
  }

  async backup(path: string): Promise<void> {
    try {
      await this.#connected().backup(path);
    } catch (error) {
      const isThere = codeOf(error) === "SQLITE_FILE_EXISTS";
      throw isThere ? embeddedError(this.folder, error) : error;
    }
  }

  transient(error: unknown): Transient | undefined {
    return sqliteTransient(error);
  }

  onBroken(listener: (error: Error) => void): () => void {
    this.#brokenListeners.add(listener);
    return () => this.#brokenListeners.delete(listener);
  }

  /** Ends the use by one user. The last user closes the database. */
  override async close(): Promise<void> {
    const entry = open.get(this.folder);
    if (entry?.engine === this) {
      if (--entry.users > 0) return;
      open.delete(this.folder);
    }
    await super.close();
  }

  protected async shut(): Promise<void> {
    await this.life.startEnded();
    await this.#database?.close();
  }

  protected override refusal(): Error {
    return new EmbeddedDatabaseError(
      "EMBEDDED_CLOSED",
      this.folder,
      `The engine of ${this.folder} is closed: open a new one`,
    );
  }
}

/** Returns the backend that {@link EmbeddedEngine} has made, by its own type. */
function sqliteBackendOf(backend: IQueueBackend): SqliteQueueBackend {
  if (backend instanceof SqliteQueueBackend) return backend;
  throw new TypeError("Expected a backend of the embedded engine");
}

function cancelChannel(workerId: string): string {
  return `cancel:${workerId}`;
}
