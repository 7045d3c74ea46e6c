import { EventEmitter } from "node:events";
import type { KeysMap } from "bullmq";
import type { Database } from "../database/database.ts";
import { EventReader } from "./event-reader.ts";
import { JobWaiter } from "./job-waiter.ts";
import { QueueOperations } from "./queue-operations.ts";

/** The names of the clients of one database in this process. */
export interface ClientNames {
  set(client: object, name: string): void;
  remove(client: object): void;
  list(): string[];
}

/** A client of a database, and its place in BullMQ. */
export interface ConnectionSettings {
  readonly database: Database;
  readonly names: ClientNames;
  readonly queue: string;
  /** Whether `close()` ends a use of the database. The backends of other queues of a flow share the first one's. */
  readonly ownsDatabase: boolean;
  /** The name by which BullMQ's `getWorkers` finds the client; undefined for clients that it does not list. */
  readonly clientName?: string | undefined;
}

/** The part of a backend that BullMQ uses as a connection: readiness, names, waits for news and the end. */
export class BackendConnection extends EventEmitter {
  closing: Promise<void> | undefined;
  readonly minimumBlockTimeout = 0.001;
  readonly maximumBlockTimeout = 3_600;
  readonly keys: KeysMap = {};
  readonly qualifiedName: string;
  protected readonly operations: QueueOperations;
  readonly #settings: ConnectionSettings;
  protected readonly jobs: JobWaiter;
  readonly #events: EventReader;
  #ready: Promise<void> | undefined;

  constructor(settings: ConnectionSettings) {
    super();
    const { database, queue } = settings;
    this.#settings = settings;
    this.qualifiedName = queue;
    this.operations = new QueueOperations(database, queue, this);
    this.jobs = new JobWaiter(database, queue);
    this.#events = new EventReader(database, this.operations);
    if (!settings.ownsDatabase) return;
    database.on("error", this.#onError);
    database.on("close", this.#onClose);
  }

  readonly #onError = (error: Error): void => {
    if (this.listenerCount("error") > 0) this.emit("error", error);
  };
  readonly #onClose = (): void => {
    this.#cancelWaits();
    this.emit("close");
  };

  async waitUntilReady(): Promise<void> {
    const { database, names, clientName } = this.#settings;
    this.#ready ??= database.ready().then(() => {
      if (clientName !== undefined) names.set(this, clientName);
      this.emit("ready");
    });
    return await this.#ready;
  }

  async close(): Promise<void> {
    if (!this.#settings.ownsDatabase) return;
    this.closing ??= this.#close();
    return await this.closing;
  }

  async #close(): Promise<void> {
    const { database, names } = this.#settings;
    names.remove(this);
    this.#events.cancel();
    database.off("error", this.#onError);
    database.off("close", this.#onClose);
    // If the database fails here, other processes put the job back.
    if (this.jobs.isHeld) await this.jobs.close().catch(() => {});
    await database.close();
    this.emit("close");
  }

  #cancelWaits(): void {
    this.jobs.cancel();
    this.#events.cancel();
  }

  /** Ends the waits only, because other clients of this process use the database, too. */
  async disconnect(): Promise<void> {
    this.#cancelWaits();
  }

  async setName(name: string): Promise<void> {
    this.#settings.names.set(this, name);
  }

  /** Returns the settings of a connection to another queue of the same database. */
  protected settingsFor(queue: string): ConnectionSettings {
    const { database, names } = this.#settings;
    return { database, names, queue, ownsDatabase: false };
  }

  toKey(type: string): string {
    return `${this.qualifiedName}:${type}`;
  }

  parseNodeKey(key: string): { prefix: string; queueName: string; id: string } {
    const at = key.lastIndexOf(":");
    return { prefix: "", queueName: key.slice(0, at), id: key.slice(at + 1) };
  }

  clientName(suffix = ""): string {
    return `${this.qualifiedName}${suffix}`;
  }

  async getClientList(): Promise<string[]> {
    const names = this.#settings.names.list().map((name) => `name=${name}`);
    return [names.join("\n")];
  }

  async readEvents(id: string, blockTimeout: number): ReturnType<EventReader["read"]> {
    return await this.#events.read(id, blockTimeout);
  }

  async disconnectBlocking(): Promise<void> {
    this.jobs.interrupt();
  }

  async reconnectBlocking(): Promise<void> {
    this.jobs.resume();
  }
}
