import type { EndingRun, ReplyChannel, ReplyMessage } from "../../contract/replies.ts";
import type { JobPlaces } from "./job-places.ts";
import type { Shards } from "./shards.ts";

/**
 * Replies over the shards. A process has one address, and listens on every shard, so that a worker sends each reply on the
 * shard of its job, behind the turn that stores the end. Any other shard would do as well, and takes the replies of a shard
 * that does not answer.
 */
export class ShardedReplies implements ReplyChannel {
  readonly address: string;
  readonly isLossless = false;
  readonly #shards: Shards;
  readonly #places: JobPlaces;
  readonly #listeners: { onMessage(message: ReplyMessage): void; onGap(): void }[] = [];

  constructor(address: string, shards: Shards, places: JobPlaces) {
    this.address = address;
    this.#shards = shards;
    this.#places = places;
  }

  async listen(onMessage: (message: ReplyMessage) => void, onGap: () => void): Promise<void> {
    this.#listeners.push({ onMessage, onGap });
    if (this.#listeners.length > 1) return;
    const receive = (message: ReplyMessage): void => {
      for (const listener of this.#listeners) listener.onMessage(message);
    };
    const missed = (): void => {
      for (const listener of this.#listeners) listener.onGap();
    };
    this.#shards.watch({
      joins: (shard) =>
        void this.#shards.engine(shard).replies.listen(receive, missed, this.#shards.layout.count > 1),
    });
  }

  send(address: string, message: ReplyMessage): void {
    const shard = this.#places.likely("", message.id);
    const [other = shard] = this.#shards.isUp(shard) ? [] : this.#shards.up();
    this.#shards.engine(other).replies.send(address, message);
  }

  async sendBehind(address: string, message: ReplyMessage, run: EndingRun): Promise<boolean> {
    const shard = this.#places.likely(run.laneName, run.id);
    return await this.#shards.engine(shard).replies.sendBehind(address, message, run);
  }
}
