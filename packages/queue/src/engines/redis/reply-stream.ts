import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Cluster } from "ioredis";
import type { EndingRun, ReplyChannel, ReplyMessage } from "../../contract/replies.ts";
import { watchClient, watchConnection } from "./heartbeat.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { another } from "./redis-client.ts";
import type { RedisClient } from "./redis-client.ts";

/**
 * The bounds of a stream, which has the replies that a slow client has not read yet. Older entries are removed, and the
 * client finds those outcomes when it polls the stored state.
 */
const MAX_ENTRIES = 20_000;
const MAX_BYTES = 32_000_000;
/** Entries that were read are removed when there are so many of them, or when no entry came while a read blocked. */
const MAX_READ_BYTES = 64_000;
const MAX_READ_ENTRIES = 500;
/** The time for which a stream outlives its last message. Its client has ended by then, or has polled. */
const STREAM_LIFETIME_MS = 600_000;
/** The pause after a read that failed. */
const READ_PAUSE_MS = 100;
/** Sends a reply only if the end of its run is stored; see {@link ReplyStream.sendBehind}. */
export const sendBehindScript = `
local job, stream = unpack(KEYS)
local started, length, messages = unpack(ARGV)
local state = redis.call('HMGET', job, 'finishedOn', 'ats')
if not state[1] or state[2] ~= started or redis.call('HEXISTS', job, 'returnvalue') == 0 then return 0 end
redis.call('XADD', stream, 'MAXLEN', '~', length, '*', 'm', messages)
return 1
`;
type SendBehind = (keys: readonly string[], values: readonly (string | number)[]) => Promise<unknown>;
/**
 * A reader of one of many streams pauses after a read with so many messages: for a third of the time since the read before,
 * and at most for so long. The streams of several servers have the messages of one, and would need a read each.
 */
const MANY_MESSAGES = 100;
const LONGEST_GATHERING_MS = 30;
/** The time for which a read waits for entries. */
const READ_BLOCK_MS = 5_000;
/** A reader that has been silent for so many heartbeats is cut off: a read ends earlier by itself. */
const MAX_SILENT_BEATS = 8;

/**
 * Replies over one Redis stream for each waiting process.
 *
 * Two alternatives were measured and rejected: BullMQ's own events go to every reader, so a client would pay for the jobs of
 * all other clients, and pub/sub loses the messages that are sent while the connection is down.
 */
export class ReplyStream implements ReplyChannel {
  readonly address: string;
  readonly isLossless = false;
  readonly #writer: RedisClient;
  readonly #sendBehind: SendBehind;
  readonly #prefix: string;
  readonly #listeners = new Set<{ onMessage(message: ReplyMessage): void; onGap(): void }>();
  #reader: RedisClient | undefined;
  #outgoing = new Map<string, ReplyMessage[]>();
  #heartbeat: Heartbeat | undefined;
  readonly #keptAlive = new Map<string, number>();
  #isSending = false;
  #closed = false;

  /** @param sendBehind runs {@link sendBehindScript} on the connection on which workers store ends. */
  constructor(writer: RedisClient, prefix: string, address: string, sendBehind: SendBehind) {
    this.#writer = writer;
    this.#prefix = prefix;
    this.address = address;
    this.#sendBehind = sendBehind;
  }

  async listen(
    onMessage: (message: ReplyMessage) => void,
    onGap: () => void,
    isOneOfMany = false,
  ): Promise<void> {
    this.#listeners.add({ onMessage, onGap });
    if (this.#reader !== undefined) return;
    // The reader has a connection of its own, because a blocking read delays all other commands of its connection.
    const reader = another(this.#writer);
    this.#reader = reader;
    reader.on("error", () => {}); // The reader connects again by itself, and the writer reports errors.
    const heartbeat =
      reader instanceof Cluster
        ? watchClient(reader, MAX_SILENT_BEATS)
        : watchConnection(reader, MAX_SILENT_BEATS, undefined);
    this.#heartbeat = heartbeat;
    let first = true;
    reader.on("ready", () => {
      if (!first) for (const each of this.#listeners) each.onGap();
      first = false;
    });
    void this.#read(reader, heartbeat, isOneOfMany);
  }

  async #read(reader: RedisClient, heartbeat: Heartbeat, isOneOfMany: boolean): Promise<void> {
    const key = this.#key(this.address);
    let last = "0-0";
    let bytes = 0;
    let count = 0;
    let readAt = performance.now();
    while (!this.#closed) {
      try {
        const streams = await reader.xread("COUNT", 1_000, "BLOCK", READ_BLOCK_MS, "STREAMS", key, last);
        heartbeat.answered();
        const isIdle = streams === null;
        let received = 0;
        for (const [, entries] of streams ?? []) {
          for (const [entry, fields] of entries) {
            last = entry;
            count++;
            bytes += fields[1]?.length ?? 0;
            const messages: ReplyMessage[] = JSON.parse(fields[1] ?? "[]");
            received += messages.length;
            for (const message of messages) for (const each of this.#listeners) each.onMessage(message);
          }
        }
        if (count > 0 && (isIdle || bytes >= MAX_READ_BYTES || count >= MAX_READ_ENTRIES)) {
          bytes = count = 0;
          reader.xtrim(key, "MINID", "=", behind(last)).catch(() => {}); // Sent before the next read, and not awaited.
        }
        const before = readAt;
        readAt = performance.now();
        if (isOneOfMany && received >= MANY_MESSAGES)
          await delay(Math.min(LONGEST_GATHERING_MS, (readAt - before) / 3));
      } catch {
        if (this.#closed || reader.status === "end") return;
        // A lost connection ended the read. Any other error would come again at once, hence the pause.
        await delay(READ_PAUSE_MS);
      }
    }
  }

  send(address: string, message: ReplyMessage): void {
    const messages = this.#outgoing.get(address);
    if (messages === undefined) this.#outgoing.set(address, [message]);
    else messages.push(message);
    if (this.#isSending) return;
    this.#isSending = true;
    // The replies of all jobs that end in this turn travel together.
    process.nextTick(() => void this.#sendAll());
  }

  /** Redis runs the commands of one connection in order, so the script sees the end that the previous command stored. */
  async sendBehind(address: string, message: ReplyMessage, run: EndingRun): Promise<boolean> {
    const key = this.#key(address);
    const job = `${this.#prefix}:${run.laneName}:${run.id}`;
    const text = JSON.stringify([message]);
    try {
      const sent = this.#sendBehind([job, key], [run.attemptsStarted, entriesFor(text), text]);
      this.#keepAlive(address, key);
      return (await sent) === 1;
    } catch {
      return false; // The connection was cut, and with it the end that went before.
    }
  }

  /**
   * Sends the collected replies, and then those that were collected meanwhile. A single reply leaves at once, and under load
   * the batches grow by themselves.
   */
  async #sendAll(): Promise<void> {
    try {
      while (this.#outgoing.size > 0 && !this.#closed) await this.#flush();
    } catch {
      // An outcome whose reply cannot be sent is not lost: it is stored, and the client polls the stored state.
    } finally {
      this.#isSending = false;
    }
  }

  async #flush(): Promise<void> {
    const outgoing = this.#outgoing;
    this.#outgoing = new Map();
    // ioredis needs 10 µs to make a pipeline. Plain commands leave in one write, too.
    const sent = [...outgoing].map(([address, messages]) => {
      const key = this.#key(address);
      const text = JSON.stringify(messages);
      const added = this.#writer.xadd(key, "MAXLEN", "~", entriesFor(text), "*", "m", text);
      this.#keepAlive(address, key);
      return added;
    });
    await Promise.all(sent);
  }

  /** Extends the life of a stream. Most calls send nothing, because a stream lives for much longer. */
  #keepAlive(address: string, key: string): void {
    const now = performance.now();
    if (now - (this.#keptAlive.get(address) ?? Number.NEGATIVE_INFINITY) < STREAM_LIFETIME_MS / 10) return;
    if (this.#keptAlive.size > 1_000) this.#keptAlive.clear();
    this.#keptAlive.set(address, now);
    this.#writer.pexpire(key, STREAM_LIFETIME_MS).catch(() => {});
  }

  close(): void {
    this.#flush().catch(() => {});
    this.#closed = true;
    // The stream is emptied and not deleted: a worker that still adds to it relies on the time at which it expires.
    if (this.#reader !== undefined && this.#writer.status === "ready")
      this.#writer.xtrim(this.#key(this.address), "MAXLEN", "=", 0).catch(() => {});
    this.#heartbeat?.stop();
    this.#reader?.disconnect();
  }

  #key(address: string): string {
    return `${this.#prefix}:replies:${address}`;
  }
}

/** Returns a new address of a process. Every job carries it: 96 random bits, in fewer characters than a UUID. */
export function newReplyAddress(): string {
  return randomBytes(12).toString("base64url");
}

/** Returns the number of entries of this size that a stream may have within the bound of bytes. */
function entriesFor(text: string): number {
  return Math.max(1, Math.min(MAX_ENTRIES, Math.floor(MAX_BYTES / text.length)));
}

/** Returns the id that follows the id of an entry. */
function behind(entry: string): string {
  const [time, sequence] = entry.split("-");
  return `${time}-${BigInt(sequence ?? 0) + 1n}`;
}
