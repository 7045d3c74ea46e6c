import { EventEmitter } from "node:events";
import { extname, resolve } from "node:path";
import { Worker } from "node:worker_threads";
import { endsWait } from "../operations/claim.ts";
import type { Claim, Claimed } from "../operations/claim.ts";
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
// oxlint-disable-next-line no-unused-vars -- a comment links to it
import type { Transaction } from "../operations/user-function.ts";
import { SqliteError, sqliteError } from "./errors.ts";

/** An operation that BullMQ's rules refuse, with BullMQ's code. */
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

/** The operations whose answer can be a job to run. */
const CLAIMS: ReadonlySet<OperationName> = new Set([
  "moveToActive",
  "moveToCompleted",
  "moveToFailed",
  "turn",
] as const);

/** The time after which an operation leaves that nobody waits for, if no other one does before. */
const LATER_MS = 5;

interface Call {
  /** Whether the answer can be a job to run. */
  readonly isClaim: boolean;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** The databases of this process by their paths. All queues of a file share one database and its thread. */
const open = new Map<string, Database>();

/**
 * A database file that is open on a thread of its own. The operations of one turn of the event loop travel in one message
 * and are committed together. Each of them resolves after the commit.
 */
export class Database extends EventEmitter<{
  events: [queue: string | undefined];
  message: [channel: string, text: string];
  error: [error: Error];
  close: [];
}> {
  readonly path: string;
  /** SQLite's version. It is known when the database is open. */
  sqlite = "";
  /** The number of this process among the processes that have the file open. It is known when the database is open. */
  processId = 0;
  readonly #key: string;
  readonly #thread: Worker;
  readonly #ready = Promise.withResolvers<void>();
  readonly #closed = Promise.withResolvers<void>();
  readonly #calls = new Map<number, Call>();
  /** The workers that wait for a job, by the ids of their waits. */
  readonly #awaits = new Map<number, (claimed: Claimed | undefined) => void>();
  #outbox: SentOperation[] = [];
  /** Whether the operations of the outbox leave at the end of this turn of the event loop. */
  #isLeaving = false;
  #isListening = false;
  #posts: PostedMessage[] = [];
  /** Functions that settle answered claims, in their order; see {@link Database.#settle}. */
  #claimed: (() => void)[] = [];
  #lastId = 0;
  #users = 0;
  #ended: SqliteError | undefined;

  private constructor(key: string, options: OpenOptions) {
    super();
    this.setMaxListeners(0);
    this.on("error", () => {}); // Each user of the database has a listener of its own.
    this.path = options.path;
    this.#key = key;
    this.#thread = new Worker(new URL(`../thread/entry${extname(import.meta.url)}`, import.meta.url), {
      name: "bullmq-sqlite",
      workerData: options,
      // The thread needs no flag of the process, and some flags (--inspect-brk) would stop it.
      execArgv: ["--disable-warning=ExperimentalWarning"],
      stdin: false,
    });
    this.#thread.on("message", (reply: DatabaseReply) => this.#receive(reply));
    this.#thread.on("error", (error) =>
      this.#end(new SqliteError("SQLITE_ERROR", `The database thread failed: ${error.message}`)),
    );
    this.#thread.on("exit", () =>
      this.#end(new SqliteError("SQLITE_CLOSED", `The database ${this.path} is closed`)),
    );
    this.#ready.promise.catch(() => {});
  }

  /** Returns the database of a file. All users in this process share it, and each user closes it once. */
  static use({ path, sync }: OpenOptions): Database {
    const key = path === ":memory:" ? path : resolve(path);
    const known = open.get(key);
    const database = known ?? new Database(key, { path: key, sync });
    if (known === undefined) open.set(key, database);
    database.#users++;
    return database;
  }

  /** Resolves when the file is open. Rejects with a {@link SqliteError} if the file cannot be used. */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** The error with which further operations reject; undefined until the database has ended. */
  get ended(): SqliteError | undefined {
    return this.#ended;
  }

  /** `open` until the last user has closed the database, `stopped` when its thread has ended. */
  get state(): "open" | "stopping" | "stopped" {
    if (this.#ended !== undefined) return "stopped";
    return this.#users === 0 ? "stopping" : "open";
  }

  /** Whether the last user has closed the database. Operations that are called from now on do not run. */
  get isClosing(): boolean {
    return this.#users === 0;
  }

  /** Runs an operation on the database thread. */
  call<N extends OperationName>(name: N, ...args: OperationArgs<N>): Promise<OperationResult<N>> {
    return this.#ask((id) => {
      this.#outbox.push([id, name, args]);
      if (this.#isLeaving) return;
      this.#isLeaving = true;
      queueMicrotask(() => this.#flush());
    }, CLAIMS.has(name));
  }

  /** Runs an operation that nobody waits for: it leaves with the next one, or by itself after a few milliseconds. */
  callLater<N extends OperationName>(name: N, ...args: OperationArgs<N>): void {
    if (this.#ended !== undefined) return;
    const id = ++this.#lastId;
    this.#calls.set(id, { isClaim: false, resolve: () => {}, reject: () => {} });
    this.#outbox.push([id, name, args]);
    setTimeout(() => this.#flush(), LATER_MS).unref();
  }

  /**
   * Waits for a job of a queue. `onClaim` receives the job that was claimed, which ends the wait; before that, it can
   * receive the times at which delayed jobs are due. It receives undefined when the worker has to ask by itself.
   *
   * @returns a function that ends the wait. It resolves with whether the worker still waited; if it did not, `onClaim`
   * has received the end.
   */
  awaitJob(
    queue: string,
    claim: Claim,
    onClaim: (claimed: Claimed | undefined) => void,
  ): () => Promise<boolean> {
    const awaited = ++this.#lastId;
    this.#awaits.set(awaited, onClaim);
    this.#flush(); // Operations that were called before run before.
    if (this.#ended === undefined) this.#send({ kind: "await", id: awaited, queue, claim });
    return async () => {
      const isWaiting = await this.#ask<boolean>((id) => {
        this.#flush();
        this.#send({ kind: "endAwait", id, awaited });
      }).catch(() => true);
      if (isWaiting) this.#awaits.delete(awaited);
      return isWaiting;
    };
  }

  /** Lets other processes send news of events; until then, a process finds them by its own look. */
  listen(): void {
    if (this.#isListening || this.#ended !== undefined) return;
    this.#isListening = true;
    this.#send({ kind: "listen" });
  }

  /**
   * Writes a copy of the file, after all operations that were called before. Later operations wait until the copy is
   * written. Active jobs wait in the copy.
   *
   * @throws {@link SqliteError} if the copy cannot be written, with the code `SQLITE_FILE_EXISTS` if its file exists.
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
      // In a later turn: a worker that calls again after each refusal would otherwise block the event loop.
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
   * Runs your own statements in one transaction. They can use BullMQ's tables, which `schema.ts` describes.
   *
   * @param wake the queues that have work afterwards. Their workers look for jobs at once.
   */
  statements(statements: readonly Statement[], wake?: readonly string[]): Promise<StatementResult[]> {
    return this.call("runStatements", statements, wake);
  }

  /**
   * Runs an exported function of your own module on the database thread, in one transaction, where it can look and decide
   * before it writes. Its first argument is a {@link Transaction}. The other arguments and the result are copied by
   * structured clone, and the function must not be asynchronous.
   *
   * The thread loads the module once, by `require`. The module imports no other package, since the flags of the process do
   * not hold in the thread.
   *
   * @param module the URL of the module, such as `new URL("./totals.js", import.meta.url).href`.
   */
  callFunction(module: string, name: string, ...args: readonly unknown[]): Promise<unknown> {
    return this.call("callFunction", module, name, args);
  }

  /**
   * Sends a text to every process that has the file open, this process included. They emit it as `message`. The text is
   * not stored and can be lost.
   */
  post(channel: string, text: string): void {
    if (this.#ended !== undefined) return;
    if (this.#posts.length === 0) setImmediate(() => this.#deliver());
    this.#posts.push([channel, text]);
  }

  /**
   * Posts a text if a statement returns a row, and resolves with whether it did. The statement runs after all operations
   * that were called before. Other processes receive the text together with the changes of that turn.
   */
  postIf(statement: Statement, channel: string, text: string): Promise<boolean> {
    return this.call("postIf", statement, channel, text);
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
    this.#isLeaving = false;
    if (this.#ended === undefined && operations.length > 0)
      this.#send({ kind: "turn", operations, now: Date.now() });
  }

  #send(request: DatabaseRequest): void {
    this.#thread.postMessage(request);
  }

  /** Lets the process end while no call waits for an answer. A database that closes keeps it until the file is closed. */
  #unrefIfIdle(): void {
    if (this.#calls.size === 0 && this.#users > 0) this.#thread.unref();
  }

  #receive(reply: DatabaseReply): void {
    switch (reply.kind) {
      case "open":
        this.sqlite = reply.sqlite;
        this.processId = reply.processId;
        this.#ready.resolve();
        this.#unrefIfIdle();
        return;
      case "refused":
        return this.#end(new SqliteError(reply.code, reply.message));
      case "closed":
        return this.#end(new SqliteError("SQLITE_CLOSED", `The database ${this.path} is closed`));
      case "changed":
        for (const [channel, text] of reply.messages ?? []) this.emit("message", channel, text);
        if (reply.messages !== undefined && reply.events === undefined) return;
        for (const queue of reply.events ?? [undefined]) this.emit("events", queue);
        return;
      case "claimed":
        for (const [id, claimed] of reply.claims) this.#settleAwait(id, claimed);
        return;
      case "turn":
        this.#settle(reply.results);
        this.#unrefIfIdle();
        for (const [channel, text] of reply.messages ?? []) this.emit("message", channel, text);
        for (const queue of reply.events) this.emit("events", queue);
    }
  }

  #settleAwait(id: number, claimed: Claimed | undefined): void {
    const onClaim = this.#awaits.get(id);
    if (claimed === undefined || endsWait(claimed)) this.#awaits.delete(id);
    onClaim?.(claimed);
  }

  /**
   * Settles the calls of a turn. If one turn adds a job and claims it, the claim settles a turn of the event loop later.
   * The code that waits for the addition then goes on before the job runs, as it does with a server.
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
      if (call.isClaim && hasJob(value)) claimed.push(settle);
      else settle();
    }
    // A turn with claims only has nothing to wait for, except for earlier claims.
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
    for (const id of this.#awaits.keys()) this.#settleAwait(id, undefined);
    this.#thread.unref();
    if (error.code !== "SQLITE_CLOSED") this.emit("error", error);
    this.#closed.resolve();
    this.emit("close");
  }

  /** Ends the use by one user. The last user closes the file, after all operations that were called before. */
  async close(): Promise<void> {
    if (this.#users === 0) return await this.#closed.promise;
    if (--this.#users > 0) return;
    if (open.get(this.#key) === this) open.delete(this.#key);
    if (this.#ended !== undefined) return;
    this.#flush();
    this.#thread.ref();
    this.#send({ kind: "close" });
    await this.#closed.promise;
  }

  /** The same as `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Returns whether the answer to a claim or to a turn has a job to run. */
function hasJob(value: unknown): boolean {
  if (Array.isArray(value)) return value[0] !== null;
  if (typeof value !== "object" || value === null || !("jobs" in value)) return false;
  return Array.isArray(value.jobs) && value.jobs.length > 0;
}

function errorOf(failure: SentFailure): Error {
  if ("refusal" in failure) return new RefusedError(failure.refusal);
  const { code, errcode, message } = failure;
  return code?.startsWith("SQLITE_") === true
    ? new SqliteError(code, message)
    : sqliteError(errcode, message);
}
