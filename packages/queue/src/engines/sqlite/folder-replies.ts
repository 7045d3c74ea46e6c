import { randomUUID } from "node:crypto";
import type { Database } from "@taskloom/bullmq-sqlite";
import type { ReplyChannel, ReplyMessage } from "../engine.ts";

/** How a channel of replies begins; the address of its process follows. */
const prefix = "replies:";

/** Replies between the processes that share a folder: by the local socket on which they wake each other. */
export class FolderReplies implements ReplyChannel {
  readonly address: string = randomUUID();
  readonly lossless = false;
  readonly #database: () => Database;
  readonly #listeners = new Set<(message: ReplyMessage) => void>();
  #outgoing = new Map<string, ReplyMessage[]>();
  #isListening = false;

  constructor(database: () => Database) {
    this.#database = database;
  }

  async listen(onMessage: (message: ReplyMessage) => void): Promise<void> {
    this.#listeners.add(onMessage);
    if (this.#isListening) return;
    this.#isListening = true;
    this.#database().on("message", (channel, text) => {
      if (channel !== `${prefix}${this.address}`) return;
      this.#receive(JSON.parse(text) as ReplyMessage[]);
    });
  }

  #receive(messages: readonly ReplyMessage[]): void {
    for (const message of messages) for (const listener of this.#listeners) listener(message);
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
    for (const [address, messages] of outgoing) {
      // A reply to this very process takes no detour, and is not turned into text and back.
      if (address === this.address) this.#receive(messages);
      else this.#database().post(`${prefix}${address}`, JSON.stringify(messages));
    }
  }
}
