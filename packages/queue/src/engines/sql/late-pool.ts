import { EventEmitter } from "node:events";

/** The part of a `pg.Pool` that BullMQ uses. */
interface PoolLike extends EventEmitter {
  connect(): Promise<unknown>;
  query(...statement: unknown[]): Promise<unknown>;
}

/**
 * The pool of a queue that is opened before its engine has connected: it has that done when it is first asked
 * something, so that the database is there and has its tables.
 */
export class LatePool extends EventEmitter {
  readonly options: { readonly max: number; readonly keepAlive: boolean } = { max: 100, keepAlive: true };
  readonly #open: () => Promise<PoolLike>;
  #opening: Promise<PoolLike> | undefined;

  constructor(open: () => Promise<unknown>) {
    super();
    this.#open = open as () => Promise<PoolLike>;
  }

  #pool(): Promise<PoolLike> {
    this.#opening ??= this.#open().then(
      (pool) =>
        pool.on("error", (error) => {
          if (this.listenerCount("error") > 0) this.emit("error", error);
        }),
      (error: unknown) => {
        this.#opening = undefined;
        throw error;
      },
    );
    return this.#opening;
  }

  async connect(): Promise<unknown> {
    return await (await this.#pool()).connect();
  }

  async query(...statement: unknown[]): Promise<unknown> {
    return await (await this.#pool()).query(...statement);
  }

  /** The pool below is its engine's, and ends with that. */
  async end(): Promise<void> {}
}
