import type pg from "pg";
import { Session } from "./session.ts";

const RECONNECT_PAUSE_MS = 500;

/**
 * One connection that listens for PostgreSQL notifications, and is opened again when it is lost. Notifications in between
 * are lost; `onGap` is called.
 */
export class NotificationChannel {
  readonly #config: pg.ClientConfig;
  readonly #listeners = new Map<string, (payload: string) => void>();
  readonly #onGap: () => void;
  #client: Session | undefined;
  readonly #isOpen = Promise.withResolvers<void>();
  #opening = false;
  #closed = false;

  constructor(config: pg.ClientConfig, onGap: () => void) {
    this.#config = config;
    this.#onGap = onGap;
  }

  /** Calls `listener` with the payload of every notification on `channel`, and returns a function that stops that. */
  listen(channel: string, listener: (payload: string) => void): () => void {
    this.#listeners.set(channel, listener);
    if (this.#client !== undefined) void this.#client.query(`LISTEN ${quoted(channel)}`).catch(() => {});
    else if (!this.#opening) void this.#open(false);
    return () => {
      this.#listeners.delete(channel);
      void this.#client?.query(`UNLISTEN ${quoted(channel)}`).catch(() => {});
    };
  }

  /** Resolves when the channels of all listeners are open for the first time; at once later. */
  async ready(): Promise<void> {
    if (this.#client === undefined && !this.#closed) await this.#isOpen.promise;
  }

  async #open(again: boolean): Promise<void> {
    this.#opening = true;
    while (!this.#closed) {
      const client = new Session({ ...this.#config, keepAlive: true });
      client.on("notification", ({ channel, payload }) => this.#listeners.get(channel)?.(payload ?? ""));
      try {
        await client.connect();
        for (const channel of this.#listeners.keys()) await client.query(`LISTEN ${quoted(channel)}`);
      } catch {
        await client.end().catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_PAUSE_MS).unref());
        continue;
      }
      this.#client = client;
      this.#isOpen.resolve();
      this.#opening = false;
      client.once("end", () => {
        this.#client = undefined;
        if (!this.#closed) void this.#open(true);
      });
      if (again) this.#onGap();
      return;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#isOpen.resolve();
    await this.#client?.end().catch(() => {});
  }
}

function quoted(channel: string): string {
  return `"${channel.replaceAll('"', '""')}"`;
}
