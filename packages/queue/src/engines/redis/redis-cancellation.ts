import { randomUUID } from "node:crypto";
import { CANCEL_FLAG, sealOf } from "../../contract/cancellation.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import { cancelScript, sealScript } from "./cancel-script.ts";
import { watchClient } from "./heartbeat.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { another } from "./redis-client.ts";
import type { RedisClient } from "./redis-client.ts";

/** How long a canceller holds a job that it claimed; long enough to end it, short enough if the canceller dies. */
const claimLock = 2_000;

/** The two sides of a cancel: who asks for it, and the worker that runs the job. */
export class RedisCancellation {
  readonly #client: RedisClient;
  readonly #prefix: string;
  readonly #beatsAtMost: number;
  readonly #listeners = new Map<string, (request: CancelRequest) => void>();
  #subscriber: RedisClient | undefined;
  #heartbeat: Heartbeat | undefined;
  #closed = false;

  constructor(client: RedisClient, prefix: string, beatsAtMost: number) {
    this.#client = client;
    this.#prefix = prefix;
    this.#beatsAtMost = beatsAtMost;
    client.defineCommand("taskloomCancel", { numberOfKeys: 8, lua: cancelScript });
    client.defineCommand("taskloomSeal", { numberOfKeys: 2, lua: sealScript });
  }

  async cancel(laneName: string, id: string, reason: string): Promise<CancelAnswer> {
    const base = `${this.#prefix}:${laneName}`;
    const token = `canceller-${randomUUID()}:0`;
    const lists = ["wait", "paused", "prioritized", "delayed", "active", "stalled"].map(
      (list) => `${base}:${list}`,
    );
    const run = this.#client as unknown as {
      taskloomCancel(...args: (string | number)[]): Promise<[CancelAnswer["kind"]]>;
    };
    const [kind] = await run.taskloomCancel(
      `${base}:${id}`,
      `${base}:${id}:lock`,
      ...lists,
      id,
      `${CANCEL_FLAG}${reason}`,
      token,
      claimLock,
      `${this.#prefix}:cancel:`,
      reason,
    );
    return kind === "claimed" ? { kind, token } : { kind };
  }

  async seal(laneName: string, id: string, token: string, attemptsStarted: number): Promise<SealAnswer> {
    const job = `${this.#prefix}:${laneName}:${id}`;
    const run = this.#client as unknown as {
      taskloomSeal(...args: string[]): Promise<[SealAnswer["kind"], string?]>;
    };
    const [kind, reason = ""] = await run.taskloomSeal(
      job,
      `${job}:lock`,
      token,
      sealOf(token, attemptsStarted),
    );
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
    this.#heartbeat = watchClient(subscriber, this.#beatsAtMost);
    subscriber.on("error", () => {});
    subscriber.on("message", (channel: string, text: string) => {
      const workerId = channel.slice(`${this.#prefix}:cancel:`.length);
      this.#listeners.get(workerId)?.(JSON.parse(text) as CancelRequest);
    });
    return subscriber;
  }

  close(): void {
    this.#closed = true;
    this.#heartbeat?.stop();
    this.#subscriber?.disconnect();
  }
}
