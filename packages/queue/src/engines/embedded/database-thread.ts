import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { DatabaseError } from "pg";
import { EmbeddedDatabaseError, type EmbeddedErrorCode, EmbeddedLockedError } from "./errors.ts";
import { readOwner, removeOwner } from "./owner.ts";
import type {
  FromThread,
  Order,
  Parameter,
  StatementResult,
  ThreadError,
  ToThread,
} from "./thread-messages.ts";

interface Call {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/** How long (ms) a call waits before it is told that the database has ended. */
const REFUSED_AFTER = 20;

export type NotificationListener = (channel: string, payload: string) => void;

/**
 * The loop's side of the database's thread: calls out, answers in, both in batches.
 *
 * The thread keeps the process alive only while a call is pending. When it dies, every call in flight is rejected.
 */
export class DatabaseThread {
  readonly path: string;
  /** Hears of the thread's death, unless the death was asked for. */
  onCrash: (error: EmbeddedDatabaseError) => void = () => {};

  #worker: Worker;
  #exited: Promise<void>;
  #calls = new Map<number, Call>();
  #lastCall = 0;
  #lastClient = 0;
  #outbox: ToThread[] = [];
  #inbox: FromThread[] = [];
  #listeners = new Map<number, NotificationListener>();
  /** Why no call can be made any more. */
  #ended: EmbeddedDatabaseError | undefined;

  constructor(path: string) {
    this.path = path;
    this.#worker = new Worker(new URL(`./thread-main${extname(import.meta.url)}`, import.meta.url), {
      name: "taskloom-embedded",
      // Nothing of the process's flags concerns it, and some (--inspect-brk, --input-type) would stop it.
      execArgv: [],
      stdin: false,
    });
    this.#worker.unref();
    this.#worker.on("message", (messages: FromThread[]) => {
      this.#inbox.push(...messages);
      // Otherwise a turn that is scheduled goes on with these.
      if (this.#inbox.length === messages.length) this.#workThroughInbox();
    });
    this.#worker.on("error", (error) =>
      this.#crash(error instanceof Error ? error.message : String(error), error),
    );
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        this.#crash(`its thread ended with code ${code}`);
        resolve();
      });
    });
  }

  query(client: number, text: string, parameters: Parameter[] | undefined): Promise<StatementResult[]> {
    return this.#call((call) => ["query", call, client, text, parameters]);
  }

  /** Only while the database is opened and closed; what an order gives depends on it. */
  order(order: Order): Promise<unknown> {
    return this.#call((call) => ["order", call, order]);
  }

  newClient(listener: NotificationListener): number {
    this.#lastClient += 1;
    this.#listeners.set(this.#lastClient, listener);
    return this.#lastClient;
  }

  releaseClient(client: number): void {
    if (!this.#listeners.delete(client) || this.#ended !== undefined) return;
    this.#send(["release", client]);
  }

  /** The error of every call from now on, or `undefined` while calls can be made. */
  get ended(): EmbeddedDatabaseError | undefined {
    return this.#ended;
  }

  /** Not at once: BullMQ's workers ask again without a pause, and would keep the loop from everything else. */
  refuse(): Promise<never> {
    return new Promise((_, reject) => setTimeout(reject, REFUSED_AFTER, this.#ended));
  }

  /** Ends the thread. In order: what was sent before is done first. `handBack`: let go of running jobs. */
  async close(handBack: boolean): Promise<void> {
    if (this.#ended === undefined) {
      const closing = this.order({ do: "close", handBack });
      this.#ended = new EmbeddedDatabaseError(
        "EMBEDDED_CLOSED",
        this.path,
        `The embedded database in ${this.path} is closed. Open it again, or close it after its last use.`,
      );
      await closing.catch(() => {});
      this.#worker.ref();
      await this.#worker.terminate();
    }
    await this.#exited;
  }

  #call<T>(message: (call: number) => ToThread): Promise<T> {
    if (this.#ended !== undefined) return this.refuse();
    return new Promise<T>((resolve, reject) => {
      this.#lastCall += 1;
      if (this.#calls.size === 0) this.#worker.ref();
      this.#calls.set(this.#lastCall, { resolve, reject });
      this.#send(message(this.#lastCall));
    });
  }

  #send(message: ToThread): void {
    // Statements that are sent while a batch of answers is worked through travel together.
    if (this.#outbox.push(message) > 1) return;
    setImmediate(() => {
      const batch = this.#outbox;
      this.#outbox = [];
      this.#worker.postMessage(batch);
    });
  }

  /**
   * In order, and a notification only when whoever got an answer before it has gone on: BullMQ looks for events,
   * finds none, and only then begins to listen; told in the same turn, it would miss one and wait ten seconds.
   */
  #workThroughInbox(): void {
    let hasAnswered = false;
    for (const [index, message] of this.#inbox.entries()) {
      if (message[0] !== "notification") {
        hasAnswered = true;
      } else if (hasAnswered) {
        this.#inbox.splice(0, index);
        setImmediate(() => this.#workThroughInbox());
        return;
      }
      this.#receive(message);
    }
    this.#inbox = [];
    if (this.#calls.size === 0) this.#worker.unref();
  }

  #receive(message: FromThread): void {
    switch (message[0]) {
      case "result":
      case "done":
        this.#take(message[1])?.resolve(message[2] as never);
        break;
      case "error":
        this.#take(message[1])?.reject(unpack(message[2]));
        break;
      case "notification":
        this.#listeners.get(message[1])?.(message[2], message[3]);
        break;
      case "fatal":
        this.#crash(message[1]);
        break;
    }
  }

  #take(id: number): Call | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }

  #crash(reason: string, cause?: unknown): void {
    const next = /No space left|quota/i.test(reason)
      ? "make room, and start again"
      : "open the folder again, in a new process if it repeats";
    const error = new EmbeddedDatabaseError(
      "EMBEDDED_CRASHED",
      this.path,
      `The embedded database in ${this.path} stopped: ${reason}. What was acknowledged is on disk; ${next}.`,
      { cause },
    );
    const first = this.#ended === undefined;
    this.#ended ??= error;
    // This process lives on, and leaves the folder to others.
    if (first && readOwner(this.path)?.pid === process.pid) removeOwner(this.path);
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
    if (first) this.onCrash(error);
  }
}

function unpack({ kind, message, fields, stack }: ThreadError): Error {
  if (kind === "postgres") {
    return Object.assign(new DatabaseError(message, message.length, "error"), fields);
  }
  const path = fields["path"] as string;
  let error: Error;
  if (kind === "locked") {
    const { pid, address } = fields as { pid?: number; address?: string };
    const owner = pid === undefined ? undefined : address === undefined ? { pid } : { pid, address };
    error = new EmbeddedLockedError(path, owner);
  } else if (kind === "embedded") {
    error = new EmbeddedDatabaseError(fields["code"] as EmbeddedErrorCode, path, message);
  } else {
    error = new Error(message);
  }
  if (stack !== undefined) error.cause = stack;
  return error;
}
