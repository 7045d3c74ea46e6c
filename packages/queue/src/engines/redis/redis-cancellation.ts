import { CANCELLER_LOCK_MS, CANCEL_FLAG, cancellerToken, sealOf } from "../../contract/cancellation.ts";
import type { CancelAnswer, CancelRequest, SealAnswer } from "../../contract/cancellation.ts";
import { cancelScript, sealScript } from "./cancel-script.ts";
import type { RedisClient } from "./redis-client.ts";
import { defineScript } from "./script.ts";
import type { Script } from "./script.ts";
import type { WorkerMessages } from "./worker-messages.ts";

/** Both sides of a cancel: the canceller, and the worker that runs the job. */
export class RedisCancellation {
  readonly #prefix: string;
  readonly #messages: WorkerMessages;
  readonly #cancel: Script<[CancelAnswer["kind"]]>;
  readonly #seal: Script<[SealAnswer["kind"], string?]>;

  constructor(client: RedisClient, prefix: string, messages: WorkerMessages) {
    this.#prefix = prefix;
    this.#messages = messages;
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
    return this.#messages.listen(`${this.#prefix}:cancel:${workerId}`, (message) => {
      const request: CancelRequest = JSON.parse(message);
      listener(request);
    });
  }
}
