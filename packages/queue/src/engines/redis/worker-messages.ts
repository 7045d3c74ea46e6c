import { watchClient } from "./heartbeat.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { another } from "./redis-client.ts";
import type { RedisClient } from "./redis-client.ts";

/** The messages to the workers of this process, over one subscribed connection. Messages can be lost. */
export class WorkerMessages {
  readonly #client: RedisClient;
  readonly #maxSilentBeats: number;
  readonly #listeners = new Map<string, (message: string) => void>();
  #subscriber: RedisClient | undefined;
  #heartbeat: Heartbeat | undefined;
  #closed = false;

  constructor(client: RedisClient, maxSilentBeats: number) {
    this.#client = client;
    this.#maxSilentBeats = maxSilentBeats;
  }

  /** Calls `listener` with each message of a channel, and returns a function that stops that. */
  listen(channel: string, listener: (message: string) => void): () => void {
    this.#listeners.set(channel, listener);
    const subscriber = (this.#subscriber ??= this.#subscribe());
    subscriber.subscribe(channel).catch(() => {});
    return () => {
      this.#listeners.delete(channel);
      if (!this.#closed) subscriber.unsubscribe(channel).catch(() => {});
    };
  }

  #subscribe(): RedisClient {
    const subscriber = another(this.#client);
    this.#heartbeat = watchClient(subscriber, this.#maxSilentBeats);
    subscriber.on("error", () => {});
    subscriber.on("message", (channel: string, message: string) => this.#listeners.get(channel)?.(message));
    return subscriber;
  }

  close(): void {
    this.#closed = true;
    this.#heartbeat?.stop();
    this.#subscriber?.disconnect();
  }
}
