import { CANCELLER_LOCK_MS, CANCEL_FLAG, cancellerToken, sealOf } from "../../contract/cancellation.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import { cancelScript, sealScript } from "./cancel-script.ts";
import { watchClient } from "./heartbeat.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { another } from "./redis-client.ts";
import type { RedisClient } from "./redis-client.ts";
import { defineScript } from "./script.ts";
import type { Script } from "./script.ts";

/** Both sides of a cancel: the canceller, and the worker that runs the job. */
export class RedisCancellation {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #maxSilentBeats: number;
  readonly #cancel: Script<[CancelAnswer["kind"]]>;
  readonly #seal: Script<[SealAnswer["kind"], string?]>;
  readonly #listeners = new Map<string, (request: CancelRequest) => void>();
  #subscriber: RedisClient | undefined;
  #heartbeat: Heartbeat | undefined;
  #closed = false;

  constructor(client: RedisClient, prefix: string, maxSilentBeats: number) {
    this.#client = client;
    this.#prefix = prefix;
    this.#maxSilentBeats = maxSilentBeats;
    this.#cancel = defineScript(client, "taskloomCancel", cancelScript, 8);
    this.#seal = defineScript(client, "taskloomSeal", sealScript, 2);
  }

  async cancel(laneName: string, id: string, reason: string): Promise<CancelAnswer> {
    const base = `${this.#prefix}:${laneName}`;
    const token = cancellerToken();
    const lists = ["wait", "paused", "prioritized", "delayed", "active", "stalled"].map(
      (list) => `${base}:${list}`,
    );
    const [kind] = await this.#cancel(
      `${base}:${id}`,
      `${base}:${id}:lock`,
      ...lists,
      id,
      `${CANCEL_FLAG}${reason}`,
      token,
      CANCELLER_LOCK_MS,
      `${this.#prefix}:cancel:`,
      reason,
    );
    return kind === "claimed" ? { kind, token } : { kind };
  }

  async seal(laneName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer> {
    const job = `${this.#prefix}:${laneName}:${id}`;
    const [kind, reason = ""] = await this.#seal(job, `${job}:lock`, token, sealOf(token, attemptsStarted));
    return kind === "cancelled" ? { kind, reason } : { kind };
  }

  onRequest(workerId: string, listener: (request: CancelRequest) => void): () => void {
    this.#listeners.set(workerId, listener);
    const subscriber = (this.#subscriber ??= this.#subscribe());
    const channel = `${this.#prefix}:cancel:${workerId}`;
    subscriber.subscribe(channel).catch(() => {});
    return () => {
      this.#listeners.delete(workerId);
      if (!this.#closed) subscriber.unsubscribe(channel).catch(() => {});
    };
  }

  #subscribe(): RedisClient {
    const subscriber = another(this.#client);
    this.#heartbeat = watchClient(subscriber, this.#maxSilentBeats);
    subscriber.on("error", () => {});
    subscriber.on("message", (channel: string, text: string) => {
      const workerId = channel.slice(`${this.#prefix}:cancel:`.length);
      const request: CancelRequest = JSON.parse(text);
      this.#listeners.get(workerId)?.(request);
    });
    return subscriber;
  }

  close(): void {
    this.#closed = true;
    this.#heartbeat?.stop();
    this.#subscriber?.disconnect();
  }
}
