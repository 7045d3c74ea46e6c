import { randomUUID } from "node:crypto";
import type { Database } from "@taskloom/bullmq-sqlite";
import type { EndingRun, ReplyChannel, ReplyMessage } from "../../contract/replies.ts";

/** How a channel of replies begins; the address of its process follows. */
const prefix = "replies:";

/** Returns a row if that very run's end is stored. */
const endedRun = `SELECT 1 FROM job WHERE q = (SELECT q FROM queue WHERE name = ?) AND id = ?
  AND attempts_started = ? AND finished IS NOT NULL AND return_value IS NOT NULL`;

/** Replies between the processes that share a folder: by the local socket on which they wake each other. */
export class FolderReplies implements ReplyChannel {
  readonly address: string = randomUUID();
  readonly isLossless = false;
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

  /** The statement runs after the command that stores the end, and the reply leaves with the news of that turn. */
  async sendBehind(address: string, message: ReplyMessage, run: EndingRun): Promise<boolean> {
    if (address === this.address) return false; // It has no way to go: {@link send} is quicker.
    return await this.#database().postIf(
      [endedRun, [run.laneName, run.id, run.attemptsStarted]],
      `${prefix}${address}`,
      JSON.stringify([message]),
    );
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
