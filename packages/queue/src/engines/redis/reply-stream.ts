import { Cluster } from "ioredis";
import type { EndingRun, ReplyChannel, ReplyMessage } from "../../contract/replies.ts";
import { watchClient, watchConnection } from "./heartbeat.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { another } from "./redis-client.ts";
import type { RedisClient } from "./redis-client.ts";

/**
 * A stream holds what a slow client has not read yet, up to a number of entries and of bytes; older entries go, and the
 * client finds them by looking.
 */
const entriesAtMost = 20_000;
const bytesAtMost = 32_000_000;
/** So much that was read stays until it is removed, or until nothing came for as long as a read blocks. */
const readBytesAtMost = 64_000;
const readEntriesAtMost = 500;
/** How long a stream outlives the last message to it: its client is gone by then, or has looked. */
const streamLifetime = 600_000;
/** A reply goes out with the end it tells of, or not at all: see {@link ReplyStream.sendBehind}. */
const behindScript = `
local job, stream = unpack(KEYS)
local started, length, messages = unpack(ARGV)
local state = redis.call('HMGET', job, 'finishedOn', 'ats')
if not state[1] or state[2] ~= started or redis.call('HEXISTS', job, 'returnvalue') == 0 then return 0 end
redis.call('XADD', stream, 'MAXLEN', '~', length, '*', 'm', messages)
return 1
`;
const readBlock = 5_000;
/** A reader that gave nothing back for so many seconds is cut off: a read ends by itself before. */
const beatsAtMost = 8;

/**
 * Replies over one Redis stream per waiting process.
 *
 * The other ways were measured and left: BullMQ's own events go to every reader, so a client pays for all jobs of all
 * others, and pub/sub loses what is sent while the connection is down.
 */
export class ReplyStream implements ReplyChannel {
  readonly address: string;
  readonly isLossless = false;
  readonly #writer: RedisClient;
  readonly #prefix: string;
  readonly #listeners = new Set<{ onMessage(message: ReplyMessage): void; onGap(): void }>();
  #reader: RedisClient | undefined;
  #outgoing = new Map<string, ReplyMessage[]>();
  #heartbeat: Heartbeat | undefined;
  readonly #keptAlive = new Map<string, number>();
  #isSending = false;
  #closed = false;

  constructor(writer: RedisClient, prefix: string, address: string) {
    this.#writer = writer;
    this.#prefix = prefix;
    this.address = address;
    writer.defineCommand("taskloomReply", { numberOfKeys: 2, lua: behindScript });
  }

  async listen(onMessage: (message: ReplyMessage) => void, onGap: () => void): Promise<void> {
    this.#listeners.add({ onMessage, onGap });
    if (this.#reader !== undefined) return;
    // A connection of its own: a blocking read holds up whatever shares its connection.
    const reader = another(this.#writer);
    this.#reader = reader;
    reader.on("error", () => {}); // The writer's connection reports; this one only retries.
    const heartbeat =
      reader instanceof Cluster
        ? watchClient(reader, beatsAtMost)
        : watchConnection(reader, beatsAtMost, undefined);
    this.#heartbeat = heartbeat;
    let first = true;
    reader.on("ready", () => {
      if (!first) for (const each of this.#listeners) each.onGap();
      first = false;
    });
    void this.#read(reader, heartbeat);
  }

  async #read(reader: RedisClient, heartbeat: Heartbeat): Promise<void> {
    const key = this.#key(this.address);
    let last = "0-0";
    let bytes = 0;
    let count = 0;
    while (!this.#closed) {
      try {
        const streams = await reader.xread("COUNT", 1_000, "BLOCK", readBlock, "STREAMS", key, last);
        heartbeat.answered();
        const isIdle = streams === null;
        for (const [, entries] of streams ?? []) {
          for (const [entry, fields] of entries) {
            last = entry;
            count++;
            bytes += fields[1]?.length ?? 0;
            for (const message of JSON.parse(fields[1] ?? "[]") as ReplyMessage[])
              for (const each of this.#listeners) each.onMessage(message);
          }
        }
        if (count > 0 && (isIdle || bytes >= readBytesAtMost || count >= readEntriesAtMost)) {
          bytes = count = 0;
          reader.xtrim(key, "MINID", "=", behind(last)).catch(() => {}); // Before the next read, and unawaited.
        }
      } catch (error) {
        if (this.#closed || reader.status === "end") return;
        // A command that was cut off by a lost connection; anything else would repeat at once, so let a turn pass.
        void error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  send(address: string, message: ReplyMessage): void {
    const messages = this.#outgoing.get(address);
    if (messages === undefined) this.#outgoing.set(address, [message]);
    else messages.push(message);
    if (this.#isSending) return;
    this.#isSending = true;
    // What else ends in this moment travels along.
    process.nextTick(() => void this.#sendAll());
  }

  /** Commands of one connection run in their order, so the script finds what the command before it stored. */
  async sendBehind(address: string, message: ReplyMessage, run: EndingRun): Promise<boolean> {
    const key = this.#key(address);
    const writer = this.#writer as unknown as {
      taskloomReply(...args: (string | number)[]): Promise<number>;
    };
    const job = `${this.#prefix}:${run.laneName}:${run.id}`;
    const text = JSON.stringify([message]);
    const sent = writer.taskloomReply(job, key, run.attemptsStarted, entriesFor(text), text);
    this.#keepAlive(address, key);
    return (await sent) === 1;
  }

  /**
   * Sends what there is, and then what has come while that was on its way: a single reply leaves at once, and under load
   * the batches grow by themselves.
   */
  async #sendAll(): Promise<void> {
    try {
      while (this.#outgoing.size > 0 && !this.#closed) await this.#flush();
    } catch {
      // A reply that cannot be sent is not lost: the outcome is stored, and the client looks there.
    } finally {
      this.#isSending = false;
    }
  }

  async #flush(): Promise<void> {
    const outgoing = this.#outgoing;
    this.#outgoing = new Map();
    // Plain commands: ioredis needs 10 µs to make a pipeline, and they leave in one write all the same.
    const sent = [...outgoing].map(([address, messages]) => {
      const key = this.#key(address);
      const text = JSON.stringify(messages);
      const added = this.#writer.xadd(key, "MAXLEN", "~", entriesFor(text), "*", "m", text);
      this.#keepAlive(address, key);
      return added;
    });
    await Promise.all(sent);
  }

  /** Has the stream outlive the last message; said again only now and then, since it lives for much longer. */
  #keepAlive(address: string, key: string): void {
    const now = performance.now();
    if (now - (this.#keptAlive.get(address) ?? Number.NEGATIVE_INFINITY) < streamLifetime / 10) return;
    if (this.#keptAlive.size > 1_000) this.#keptAlive.clear();
    this.#keptAlive.set(address, now);
    this.#writer.pexpire(key, streamLifetime).catch(() => {});
  }

  close(): void {
    this.#flush().catch(() => {});
    this.#closed = true;
    // Emptied and not deleted: a worker that still adds to it counts on the time after which it expires.
    if (this.#reader !== undefined && this.#writer.status === "ready")
      this.#writer.xtrim(this.#key(this.address), "MAXLEN", "=", 0).catch(() => {});
    this.#heartbeat?.stop();
    this.#reader?.disconnect();
  }

  #key(address: string): string {
    return `${this.#prefix}:replies:${address}`;
  }
}

/** How many entries a stream may have after one of this size, so that even as many of them stay within the bound. */
function entriesFor(text: string): number {
  return Math.max(1, Math.min(entriesAtMost, Math.floor(bytesAtMost / text.length)));
}

/** The id that follows an entry's. */
function behind(entry: string): string {
  const [time, sequence] = entry.split("-");
  return `${time}-${BigInt(sequence ?? 0) + 1n}`;
}
