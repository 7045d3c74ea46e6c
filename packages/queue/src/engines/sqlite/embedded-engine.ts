import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Database, createSqliteBackend } from "@taskloom/bullmq-sqlite";
import { FlowProducer } from "bullmq";
import type { BackendFactory, ConnectionOptions, Queue, RedisQueueBackend } from "bullmq";
import { repeatSettings } from "../../cron/repeat-strategy.ts";
import type { Lane } from "../../contract/lane.ts";
import type { JobEnd } from "../../contract/retention.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import type { LaneProcessor, LaneWorkerOptions } from "../../contract/engine-worker.ts";
import type { Engine } from "../../contract/engine.ts";
import type { LockTerms } from "../../contract/lock-terms.ts";
import type { KeptSubmission, StoredJob } from "../../contract/stored-job.ts";
import type { FieldLimits, JobRecord, StateOrder, StoredState } from "../../contract/job-record.ts";
import type { EngineWorker } from "../../contract/engine-worker.ts";
import type { FlowAdder, LaneQueue } from "../../contract/lane-queue.ts";
import { LaneWorker } from "../../bullmq/lane-worker.ts";
import { FOLDER_LOCKS } from "../../contract/lock-terms.ts";
import { ObjectDataQueue } from "../../bullmq/object-data-queue.ts";
import type { ServingWorker } from "../../contract/serving.ts";
import type { Transient } from "../../contract/transient.ts";
import { EmbeddedDatabaseError, embeddedError } from "./embedded-error.ts";
import { readEmbeddedUrl } from "./embedded-url.ts";
import { FolderReplies } from "./folder-replies.ts";
import { countCancelled, lookAtJobs, markCancelled, sealRun } from "./job-statements.ts";
import {
  claimLane,
  createOwnTables,
  dropKept,
  findKept,
  forgetJobs,
  noteRetention,
  serve,
  servingWorkers,
  stopServing,
} from "./own-tables.ts";
import { idsIn, queueNames, readRecords, renewAttempts } from "./record-statements.ts";
import { sqliteTransient } from "./sqlite-transient.ts";

/** Engines of this process by folder: a folder has one database, whoever in the process asks for it. */
const open = new Map<string, { engine: EmbeddedEngine; users: number }>();

/** The database's name in the folder. */
const fileName = "taskloom.sqlite";

/** How an engine's backend looks to BullMQ's classes, so that their users need not name the engine. */
type AnyBackend = BackendFactory<RedisQueueBackend, ConnectionOptions>;

/** BullMQ on a SQLite file, on a thread of this process; other processes may share the folder. */
export class EmbeddedEngine implements Engine {
  readonly url: string;
  readonly isLocal = false;
  readonly folder: string;
  readonly replies: FolderReplies;
  readonly locks: LockTerms = FOLDER_LOCKS;
  readonly clockOffset = 0;
  readonly #sync: "full" | "normal";
  readonly #brokenListeners = new Set<(error: Error) => void>();
  readonly #backend: AnyBackend;
  #brokenAt: number | undefined;
  #database: Database | undefined;
  #connecting: Promise<void> | undefined;

  private constructor(folder: string, sync: "full" | "normal") {
    this.folder = folder;
    this.url = `embedded:${folder}${sync === "full" ? "" : "?sync=normal"}`;
    this.#sync = sync;
    this.replies = new FolderReplies(() => this.#connected());
    this.#backend = this.#makeBackend();
  }

  /**
   * The engine on a folder; the same one for every caller in this process, until the last has closed it.
   *
   * @throws {@link EngineUrlError} when the path names no folder, or has a parameter other than `sync`.
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

  async connect(): Promise<void> {
    if (this.#database?.ended !== undefined) throw embeddedError(this.folder, this.#database.ended);
    this.#connecting ??= this.#connect().catch((error: unknown) => {
      this.#connecting = undefined; // What is in the way may be gone the next time.
      throw embeddedError(this.folder, error);
    });
    await this.#connecting;
  }

  async #connect(): Promise<void> {
    if (existsSync(join(this.folder, "pgdata"))) {
      throw new EmbeddedDatabaseError(
        "EMBEDDED_VERSION",
        this.folder,
        `${this.folder} was written by Taskloom 0.1, whose embedded engine was PGlite. Run its jobs to their end with @taskloom/worker 0.1, or use another folder (embedded:PATH).`,
      );
    }
    await this.#makeFolder();
    const database = Database.use({ path: join(this.folder, fileName), sync: this.#sync });
    try {
      await database.ready();
      await createOwnTables(database);
    } catch (error) {
      await database.close();
      throw error;
    }
    this.#database = database;
    database.on("error", (error) => {
      this.#brokenAt = performance.now();
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
        `${this.folder} cannot be made: ${(error as Error).message}; use another folder (embedded:PATH).`,
        { cause: error },
      );
    }
    // The data is not part of a project. Where this file cannot be written, the database says why.
    await writeFile(join(this.folder, ".gitignore"), "*\n", { flag: "wx" }).catch(() => {});
  }

  #makeBackend(): AnyBackend {
    const make: BackendFactory<never, never> = (name, options, factoryOptions) => {
      const backend = createSqliteBackend(
        name,
        { ...options, connection: { path: join(this.folder, fileName), sync: this.#sync } },
        factoryOptions,
      );
      const waitUntilReady = backend.waitUntilReady.bind(backend);
      backend.waitUntilReady = async () => {
        await this.connect();
        await waitUntilReady();
      };
      // The lock of a canceller that died lapses; nobody else's does, because locks last as long as their process.
      backend.moveStalledJobsToWait = async () =>
        await this.#connected().call(
          "moveStalledJobsToWait",
          name,
          Number.MAX_SAFE_INTEGER,
          Date.now(),
          0,
          true,
        );
      return backend as never;
    };
    return make as unknown as AnyBackend;
  }

  warnings(): readonly string[] {
    return [];
  }

  #connected(): Database {
    if (this.#database === undefined) throw new TypeError("connect() has to end before the engine is used");
    if (this.#database.ended !== undefined) throw embeddedError(this.folder, this.#database.ended);
    return this.#database;
  }

  openQueue(name: string): Queue {
    const queue = new ObjectDataQueue(
      name,
      { connection: {}, skipMetasUpdate: true, settings: repeatSettings },
      this.#backend,
    );
    queue.on("error", () => {});
    return queue;
  }

  openLane(name: string): LaneQueue {
    return this.openQueue(name);
  }

  openFlows(): FlowAdder {
    const flows = new FlowProducer({ connection: {} }, this.#backend);
    flows.on("error", () => {});
    return flows;
  }

  defer(callback: () => void): void {
    process.nextTick(callback);
  }

  openWorker(name: string, processor: LaneProcessor, options: LaneWorkerOptions): EngineWorker {
    return new LaneWorker(name, processor, sqliteTransient, { ...options, connection: {} }, this.#backend);
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
      if (channel === cancelChannel(workerId)) listener(JSON.parse(text) as CancelRequest);
    };
    database.on("message", onMessage);
    return () => database.off("message", onMessage);
  }

  async lookup(laneName: string, ids: readonly string[]): Promise<StoredJob[]> {
    return await lookAtJobs(this.#connected(), laneName, ids);
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

  /** Its jobs name it. */
  async recordQueue(): Promise<void> {}

  async queueNames(): Promise<string[]> {
    return await queueNames(this.#connected());
  }

  async claimLane(queue: string, lane: Lane, ids: readonly string[]): Promise<ReadonlySet<string>> {
    return await claimLane(this.#connected(), queue, lane, ids, this.now());
  }

  async findKept(laneName: string, key: string): Promise<KeptSubmission | undefined> {
    return await findKept(this.#connected(), laneName, key);
  }

  async dropKept(laneName: string, key: string, id: string): Promise<boolean> {
    return await dropKept(this.#connected(), laneName, key, id);
  }

  recordEnd(laneName: string, end: JobEnd): void {
    // A process that dies right now leaves the job with the default; see keptForCertain.
    void this.#storeEnd(laneName, end).catch(() => {});
  }

  async #storeEnd(laneName: string, end: JobEnd): Promise<void> {
    await noteRetention(this.#connected(), laneName, end);
  }

  async removeExpired(laneName: string, now: number = this.now()): Promise<void> {
    await forgetJobs(this.#connected(), laneName, now);
  }

  async countCancelled(laneName: string): Promise<number> {
    return await countCancelled(this.#connected(), laneName);
  }

  async backup(path: string): Promise<void> {
    try {
      await this.#connected().backup(path);
    } catch (error) {
      const isThere = (error as { code?: string }).code === "SQLITE_FILE_EXISTS";
      throw isThere ? embeddedError(this.folder, error) : error;
    }
  }

  now(): number {
    return Date.now();
  }

  transient(error: unknown): Transient | undefined {
    return sqliteTransient(error);
  }

  downFor(): number {
    return this.#brokenAt === undefined ? 0 : performance.now() - this.#brokenAt;
  }

  onBroken(listener: (error: Error) => void): () => void {
    this.#brokenListeners.add(listener);
    return () => this.#brokenListeners.delete(listener);
  }

  async close(): Promise<void> {
    const entry = open.get(this.folder);
    if (entry?.engine !== this || --entry.users > 0) return;
    open.delete(this.folder);
    await this.#connecting?.catch(() => {});
    await this.#database?.close();
  }
}

function cancelChannel(workerId: string): string {
  return `cancel:${workerId}`;
}
