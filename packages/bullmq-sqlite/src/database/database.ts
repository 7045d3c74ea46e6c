import { EventEmitter } from "node:events";
import { extname, resolve } from "node:path";
import { Worker } from "node:worker_threads";
import type { OperationArgs, OperationName, OperationResult } from "../operations/index.ts";
import type {
  DatabaseReply,
  DatabaseRequest,
  OpenOptions,
  PostedMessage,
  SentFailure,
  SentOperation,
  SentResult,
} from "../thread/messages.ts";
import type { Statement, StatementResult } from "../operations/statements.ts";
import { SqliteError, sqliteError } from "./errors.ts";

/** An operation that BullMQ refused, by BullMQ's code. */
export class RefusedError extends Error {
  static {
    this.prototype.name = "RefusedError";
  }
  readonly code: number;

  constructor(code: number) {
    super(`BullMQ error code ${code}`);
    this.code = code;
  }
}

/** Operations that may hand a worker a job. */
const claims: ReadonlySet<OperationName> = new Set([
  "moveToActive",
  "moveToCompleted",
  "moveToFailed",
] as const);

interface Call {
  /** Whether the answer may be a job to run. */
  readonly isClaim: boolean;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** The databases of this process by their paths: all queues of a file share one thread. */
const open = new Map<string, Database>();

/**
 * A database file, open on a thread of its own. Operations that are called in one turn of the event loop travel in one
 * message, and are committed together; each resolves when the commit is stored.
 */
export class Database extends EventEmitter<{
  jobs: [queue: string | undefined];
  events: [queue: string | undefined];
  message: [channel: string, text: string];
  error: [error: Error];
  close: [];
}> {
  readonly path: string;
  /** SQLite's version; known when the database is open. */
  sqlite = "";
  /** The number of this process among those that have the file open; known when the database is open. */
  processId = 0;
  readonly #key: string;
  readonly #thread: Worker;
  readonly #ready = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #calls = new Map<number, Call>();
  #outbox: SentOperation[] = [];
  #posts: PostedMessage[] = [];
  /** Settles claims whose turn has come, in their order; see {@link Database.#settle}. */
  #claimed: (() => void)[] = [];
  #lastId = 0;
  #users = 0;
  #ended: SqliteError | undefined;

  private constructor(key: string, options: OpenOptions) {
    super();
    this.setMaxListeners(0);
    this.on("error", () => {}); // Each user of the database listens for itself.
    this.path = options.path;
    this.#key = key;
    this.#thread = new Worker(new URL(`../thread/entry${extname(import.meta.url)}`, import.meta.url), {
      name: "bullmq-sqlite",
      workerData: options,
      // The flags of the process do not concern the thread, and some (--inspect-brk) would stop it.
      execArgv: ["--disable-warning=ExperimentalWarning"],
      stdin: false,
    });
    this.#thread.on("message", (reply: DatabaseReply) => this.#receive(reply));
    this.#thread.on("error", (error) =>
      this.#end(new SqliteError("SQLITE_ERROR", `The database thread failed: ${error.message}`)),
    );
    this.#thread.on("exit", () =>
      this.#end(new SqliteError("SQLITE_CLOSED", `The database ${this.path} is closed.`)),
    );
    this.#ready.promise.catch(() => {});
  }

  /** The database of a file; one for all its users in this process. Each user closes it once. */
  static use({ path, sync }: OpenOptions): Database {
    const key = path === ":memory:" ? path : resolve(path);
    const known = open.get(key);
    const database = known ?? new Database(key, { path: key, sync });
    if (known === undefined) open.set(key, database);
    database.#users++;
    return database;
  }

  /** Resolves when the file is open; rejects with a {@link SqliteError} when it cannot be used. */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Whether the database has ended, and no operation can be called any more. */
  get ended(): SqliteError | undefined {
    return this.#ended;
  }

  /** Whether its last user has closed it: what is called now is not run any more. */
  get isClosing(): boolean {
    return this.#users === 0;
  }

  /** Runs an operation on the database thread. */
  call<N extends OperationName>(name: N, ...args: OperationArgs<N>): Promise<OperationResult<N>> {
    return this.#ask((id) => {
      if (this.#outbox.length === 0) queueMicrotask(() => this.#flush());
      this.#outbox.push([id, name, args]);
    }, claims.has(name));
  }

  /**
   * Writes a copy of the file, as it is after all that was called before. Calls wait until it is written. Its active
   * jobs wait in the copy.
   *
   * @throws {@link SqliteError} when the copy cannot be written, or its file is there already.
   */
  backup(path: string): Promise<void> {
    return this.#ask((id) => {
      this.#flush();
      this.#send({ kind: "backup", id, path: resolve(path) });
    });
  }

  #ask<T>(send: (id: number) => void, isClaim = false): Promise<T> {
    const ended = this.#ended;
    if (ended !== undefined) {
      // In a turn of its own: a worker that asks again at each refusal would not let the event loop run otherwise.
      return new Promise((_resolve, reject) => setImmediate(reject, ended));
    }
    return new Promise((resolve_, reject) => {
      const id = ++this.#lastId;
      if (this.#calls.size === 0) this.#thread.ref();
      this.#calls.set(id, { isClaim, resolve: resolve_, reject });
      send(id);
    });
  }

  /**
   * Runs statements of one's own in one step. They see BullMQ's tables, which are described in the package's schema.
   * Queues in `wake` have work afterwards.
   */
  statements(statements: readonly Statement[], wake?: readonly string[]): Promise<StatementResult[]> {
    return this.call("runStatements", statements, wake);
  }

  /**
   * Sends a text to every process that has the file open, this one included: it is emitted as `message`. It is not
   * stored, and can be lost.
   */
  post(channel: string, text: string): void {
    if (this.#ended !== undefined) return;
    if (this.#posts.length === 0) setImmediate(() => this.#deliver());
    this.#posts.push([channel, text]);
  }

  /**
   * Posts a text if a statement, which runs after all that was called before, returns a row; resolves with whether it did.
   * A text about what was called just before reaches the other processes with the news of that turn.
   */
  async postIf(statement: Statement, channel: string, text: string): Promise<boolean> {
    const isPosted = await this.call("postIf", statement, channel, text);
    if (isPosted) this.emit("message", channel, text);
    return isPosted;
  }

  #deliver(): void {
    const messages = this.#posts;
    this.#posts = [];
    if (this.#ended !== undefined) return;
    this.#send({ kind: "post", messages });
    for (const [channel, text] of messages) this.emit("message", channel, text);
  }

  #flush(): void {
    const operations = this.#outbox;
    this.#outbox = [];
    if (this.#ended === undefined && operations.length > 0) this.#send({ kind: "turn", operations });
  }

  #send(request: DatabaseRequest): void {
    this.#thread.postMessage(request);
  }

  #receive(reply: DatabaseReply): void {
    switch (reply.kind) {
      case "open":
        this.sqlite = reply.sqlite;
        this.processId = reply.processId;
        this.#ready.resolve();
        if (this.#calls.size === 0) this.#thread.unref();
        return;
      case "refused":
        return this.#end(new SqliteError(reply.code, reply.message));
      case "closed":
        return this.#end(new SqliteError("SQLITE_CLOSED", `The database ${this.path} is closed.`));
      case "changed":
        for (const [channel, text] of reply.messages ?? []) this.emit("message", channel, text);
        if (reply.messages !== undefined && reply.jobs === undefined) return;
        for (const queue of reply.jobs ?? [undefined]) this.emit("jobs", queue);
        for (const queue of reply.events ?? [undefined]) this.emit("events", queue);
        return;
      case "turn":
        this.#settle(reply.results);
        if (this.#calls.size === 0) this.#thread.unref();
        for (const queue of reply.jobs) this.emit("jobs", queue);
        for (const queue of reply.events) this.emit("events", queue);
    }
  }

  /**
   * Settles the calls of a turn. A job can be added and claimed in one turn: the claim settles a turn of the event loop
   * later, so that the code that waits for the addition goes on before the job runs, as it does with a server.
   */
  #settle(results: readonly SentResult[]): void {
    const claimed: (() => void)[] = [];
    for (const [id, failure, value] of results) {
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      if (call === undefined) continue;
      const settle = (): void => {
        if (failure === undefined) call.resolve(value as never);
        else call.reject(errorOf(failure));
      };
      if (call.isClaim && Array.isArray(value) && value[0] !== null) claimed.push(settle);
      else settle();
    }
    // A turn of claims alone has nothing to wait for, except for earlier claims.
    if (claimed.length === results.length && this.#claimed.length === 0) {
      for (const settle of claimed) settle();
    } else if (claimed.length > 0) {
      if (this.#claimed.length === 0) setImmediate(() => this.#settleClaimed());
      this.#claimed.push(...claimed);
    }
  }

  #settleClaimed(): void {
    const claimed = this.#claimed;
    this.#claimed = [];
    for (const settle of claimed) settle();
  }

  #end(error: SqliteError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    if (open.get(this.#key) === this) open.delete(this.#key);
    this.#ready.reject(error);
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
    this.#thread.unref();
    if (error.code !== "SQLITE_CLOSED") this.emit("error", error);
    this.#closed.resolve();
    this.emit("close");
  }

  /** A user has ended. With the last one the file is closed, after all that was called before. */
  async close(): Promise<void> {
    if (this.#users === 0 || --this.#users > 0) return;
    if (open.get(this.#key) === this) open.delete(this.#key);
    if (this.#ended !== undefined) return;
    this.#flush();
    this.#thread.ref();
    this.#send({ kind: "close" });
    await this.#closed.promise;
  }
}

function errorOf(failure: SentFailure): Error {
  return "refusal" in failure
    ? new RefusedError(failure.refusal)
    : sqliteError(failure.errcode, failure.message);
}
