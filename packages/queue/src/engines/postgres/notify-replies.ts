import { randomUUID } from "node:crypto";
import type { ReplyChannel, ReplyMessage } from "../../contract/replies.ts";
import type { SqlPool } from "./job-table.ts";
import type { NotificationChannel } from "./notification-channel.ts";

/** PostgreSQL refuses a notification of 8,000 bytes or more. */
const MAX_PAYLOAD_BYTES = 7_900;

/** A batch of messages. An outcome that is too large for a notification is only named, and its client polls. */
type Notified = (ReplyMessage | { readonly id: string; readonly look: true })[];

/** Replies over NOTIFY, on one channel for each waiting process. */
export class NotifyReplies implements ReplyChannel {
  readonly address: string = randomUUID();
  readonly isLossless = false;
  readonly #pool: SqlPool;
  readonly #channel: NotificationChannel;
  #outgoing = new Map<string, ReplyMessage[]>();
  readonly #listeners = new Set<{ onMessage(message: ReplyMessage): void; onGap(): void }>();

  constructor(pool: SqlPool, channel: NotificationChannel) {
    this.#pool = pool;
    this.#channel = channel;
  }

  async listen(onMessage: (message: ReplyMessage) => void, onGap: () => void): Promise<void> {
    this.#listeners.add({ onMessage, onGap });
    if (this.#listeners.size > 1) return;
    this.#channel.listen(channelOf(this.address), (payload) => {
      const messages: Notified = JSON.parse(payload);
      for (const message of messages) {
        if ("look" in message) this.gap();
        else for (const each of this.#listeners) each.onMessage(message);
      }
    });
    // Progress that is sent before this connection listens would be lost.
    await this.#channel.ready();
  }

  /** Called when notifications may have been missed. */
  gap(): void {
    for (const each of this.#listeners) each.onGap();
  }

  send(address: string, message: ReplyMessage): void {
    if (this.#outgoing.size === 0) setImmediate(() => this.#flush());
    const messages = this.#outgoing.get(address);
    if (messages === undefined) this.#outgoing.set(address, [message]);
    else messages.push(message);
  }

  #flush(): void {
    const outgoing = this.#outgoing;
    this.#outgoing = new Map();
    const channels: string[] = [];
    const payloads: string[] = [];
    for (const [address, messages] of outgoing) {
      for (const payload of batches(messages)) {
        channels.push(channelOf(address));
        payloads.push(payload);
      }
    }
    // An outcome whose reply cannot be sent is not lost: it is stored, and the client polls the stored state.
    this.#pool
      .query(
        "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS t(channel, payload)",
        [channels, payloads],
      )
      .catch(() => {});
  }
}

function channelOf(address: string): string {
  return `taskloom_replies_${address}`;
}

function batches(messages: readonly ReplyMessage[]): string[] {
  const out: string[] = [];
  let batch: string[] = [];
  let size = 2;
  for (const message of messages) {
    const whole = JSON.stringify(message);
    const text =
      Buffer.byteLength(whole) > MAX_PAYLOAD_BYTES - 2
        ? JSON.stringify({ id: message.id, look: true })
        : whole;
    const bytes = Buffer.byteLength(text) + 1;
    if (size + bytes > MAX_PAYLOAD_BYTES) {
      out.push(`[${batch.join(",")}]`);
      batch = [];
      size = 2;
    }
    batch.push(text);
    size += bytes;
  }
  out.push(`[${batch.join(",")}]`);
  return out;
}
