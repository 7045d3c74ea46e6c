import { randomUUID } from "node:crypto";
import type { ReplyChannel, ReplyMessage } from "../../contract/replies.ts";

/** Replies for an engine whose clients and workers are all in this process. They are delivered in the next turn. */
export class LocalReplies implements ReplyChannel {
  readonly address: string = randomUUID();
  readonly isLossless = true;
  readonly #listeners = new Set<(message: ReplyMessage) => void>();
  readonly #defer: (deliver: () => void) => void;
  #outgoing: ReplyMessage[] = [];

  constructor(defer: (deliver: () => void) => void) {
    this.#defer = defer;
  }

  async listen(onMessage: (message: ReplyMessage) => void): Promise<void> {
    this.#listeners.add(onMessage);
  }

  send(_address: string, message: ReplyMessage): void {
    if (this.#outgoing.length === 0) this.#defer(() => this.#deliver());
    this.#outgoing.push(message);
  }

  #deliver(): void {
    const messages = this.#outgoing;
    this.#outgoing = [];
    for (const message of messages) for (const listener of this.#listeners) listener(message);
  }
}
