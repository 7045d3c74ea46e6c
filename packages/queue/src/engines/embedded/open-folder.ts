import type { CancelRequest } from "../engine.ts";
import { LocalLaneClaims } from "../local-lane-claims.ts";
import { LocalReplies } from "../local-replies.ts";
import { LocalServing } from "../local-serving.ts";
import type { SqlPool } from "../sql/job-table.ts";
import { createRetention } from "../sql/retention.ts";
import { EmbeddedDatabase } from "./embedded-database.ts";

type Pool = ReturnType<EmbeddedDatabase["createPool"]> & SqlPool;

/** Folders that this process has open, until the last engine on one is closed: a folder has one database. */
const open = new Map<string, OpenFolder>();

/** A folder's database, and all that its engines in this process share. */
export class OpenFolder {
  readonly path: string;
  readonly replies: LocalReplies = new LocalReplies(setImmediate);
  readonly laneClaims: LocalLaneClaims = new LocalLaneClaims();
  readonly serving: LocalServing = new LocalServing();
  readonly cancelListeners: Map<string, (request: CancelRequest) => void> = new Map();
  readonly brokenListeners: Set<(error: Error) => void> = new Set();
  /** When the database stopped by itself, in `performance.now()` milliseconds. */
  brokenAt: number | undefined;
  #users = 0;
  #database: EmbeddedDatabase | undefined;
  #pool: Pool | undefined;
  #connecting: Promise<void> | undefined;

  private constructor(path: string) {
    this.path = path;
  }

  /** Counts one more user of a folder; each has to {@link release} it once. */
  static use(path: string): OpenFolder {
    let folder = open.get(path);
    if (folder === undefined) open.set(path, (folder = new OpenFolder(path)));
    folder.#users++;
    return folder;
  }

  connect(): Promise<void> {
    this.#connecting ??= this.#connect().catch((error: unknown) => {
      this.#connecting = undefined; // Another process may have left the folder the next time.
      throw error;
    });
    return this.#connecting;
  }

  async #connect(): Promise<void> {
    this.#database = await EmbeddedDatabase.open({ path: this.path });
    this.#database.onCrash((error) => {
      this.brokenAt = performance.now();
      for (const listener of this.brokenListeners) listener(error);
    });
    this.#pool = this.#database.createPool();
    await createRetention(this.#pool);
  }

  /** The pool, once the database is open. */
  get pool(): Pool | undefined {
    return this.#pool;
  }

  async setAddress(url: string): Promise<void> {
    await this.#database?.setAddress(url);
  }

  /** Closes the database after its last user. */
  async release(): Promise<void> {
    if (--this.#users > 0) return;
    open.delete(this.path);
    await this.#connecting?.catch(() => {});
    await this.#pool?.end();
    await this.#database?.close();
  }
}
