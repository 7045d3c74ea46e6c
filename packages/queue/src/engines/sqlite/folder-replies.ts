import { randomUUID } from "node:crypto";
import type { Database } from "@taskloom/bullmq-sqlite";
import type { EndingRun, ReplyChannel, ReplyMessage } from "../../contract/replies.ts";

/** The start of a channel of replies. The address of its process follows. */
const PREFIX = "replies:";

/** Returns a row if the end of exactly this run is stored. */
const ENDED_RUN = `SELECT 1 FROM job WHERE q = (SELECT q FROM queue WHERE name = ?) AND id = ?
  AND attempts_started = ? AND finished IS NOT NULL AND return_value IS NOT NULL`;

/** Replies between the processes that share a folder, over the local socket by which they notify each other. */
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
      if (channel !== `${PREFIX}${this.address}`) return;
      const messages: ReplyMessage[] = JSON.parse(text);
      this.#receive(messages);
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

  /** The statement runs after the command that stores the end, and the reply leaves with the messages of that turn. */
  async sendBehind(address: string, message: ReplyMessage, run: EndingRun): Promise<boolean> {
    if (address === this.address) return false; // Within one process {@link send} is quicker.
    return await this.#database().postIf(
      [ENDED_RUN, [run.laneName, run.id, run.attemptsStarted]],
      `${PREFIX}${address}`,
      JSON.stringify([message]),
    );
  }

  #flush(): void {
    const outgoing = this.#outgoing;
    this.#outgoing = new Map();
    for (const [address, messages] of outgoing) {
      // A reply to this process itself is delivered directly.
      if (address === this.address) this.#receive(messages);
      else this.#database().post(`${PREFIX}${address}`, JSON.stringify(messages));
    }
  }
}
