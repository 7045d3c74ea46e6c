import type {
  AppendAnswer,
  Continuation,
  DeliverAnswer,
  Delivery,
  OpenedRun,
  ParkAnswer,
  ParkTerms,
  RunAppend,
  RunHead,
  RunJournal,
} from "../../contract/run-journal.ts";
import { byShard, eachGroup } from "./by-shard.ts";
import type { JobPlaces } from "./job-places.ts";
import type { Shards } from "./shards.ts";
import { shardOfWorker, workerOf, workerOnShard } from "./worker-ids.ts";

/** The journals of durable runs, each on the shard of its run. */
export class ShardedJournal implements RunJournal {
  readonly #shards: Shards;
  readonly #places: JobPlaces;

  constructor(shards: Shards, places: JobPlaces) {
    this.#shards = shards;
    this.#places = places;
  }

  /** Asks the shard of a run. A token names the shard on which the job was claimed. */
  async #ask<T>(
    lane: string,
    id: string,
    request: (journal: RunJournal) => Promise<T>,
    kind: "read" | "write",
    token?: string,
  ): Promise<T> {
    const claimed = token === undefined ? undefined : shardOfWorker(token);
    const shard = claimed ?? (await this.#places.of(lane, id));
    return await this.#shards.ask(shard, (engine) => request(engine.journal), kind);
  }

  async open(lane: string, id: string, token: string, from?: number): Promise<OpenedRun | undefined> {
    return await this.#ask(lane, id, (journal) => journal.open(lane, id, token, from), "write", token);
  }

  async read(lane: string, id: string, from: number, count: number): Promise<string[]> {
    return await this.#ask(lane, id, (journal) => journal.read(lane, id, from, count), "read");
  }

  async readInbox(lane: string, id: string, from: number, count: number): Promise<string[]> {
    return await this.#ask(lane, id, (journal) => journal.readInbox(lane, id, from, count), "read");
  }

  async append(lane: string, appends: readonly RunAppend[]): Promise<AppendAnswer[]> {
    const shards = appends.map(({ id }) => this.#places.likely(lane, id));
    return await eachGroup(appends, shards, (shard, some) =>
      this.#shards.ask(shard, ({ journal }) => journal.append(lane, some), "write"),
    );
  }

  async deliver(lane: string, id: string, items: readonly string[], key?: string): Promise<DeliverAnswer> {
    return await this.#ask(lane, id, (journal) => journal.deliver(lane, id, items, key), "write");
  }

  onDelivery(workerId: string, listener: (delivery: Delivery) => void): () => void {
    // A token names the consumer of one shard, and its worker has runs of all shards.
    const worker = workerOf(workerId);
    return this.#shards.subscribe(({ journal }, shard) =>
      journal.onDelivery(workerOnShard(worker, shard), listener),
    );
  }

  async park(lane: string, id: string, terms: ParkTerms): Promise<ParkAnswer> {
    return await this.#ask(lane, id, (journal) => journal.park(lane, id, terms), "write", terms.token);
  }

  async release(lane: string, id: string, epoch: number): Promise<void> {
    await this.#ask(lane, id, (journal) => journal.release(lane, id, epoch), "write");
  }

  /** Sweeps the shards that answer. */
  async sweep(lane: string): Promise<number> {
    const sweeps = this.#shards
      .up()
      .map((shard) => this.#shards.ask(shard, ({ journal }) => journal.sweep(lane)));
    const swept = await Promise.allSettled(sweeps);
    return swept.reduce((sum, result) => sum + (result.status === "fulfilled" ? result.value : 0), 0);
  }

  async continueAs(lane: string, id: string, next: Continuation): Promise<boolean> {
    return await this.#ask(lane, id, (journal) => journal.continueAs(lane, id, next), "write", next.token);
  }

  async view(lane: string, ids: readonly string[]): Promise<(string | undefined)[]> {
    const shards = await this.#places.find(lane, ids);
    return await eachGroup(ids, shards, (shard, some) =>
      this.#shards.ask(shard, ({ journal }) => journal.view(lane, some)),
    );
  }

  async head(lane: string, id: string): Promise<RunHead | undefined> {
    return await this.#ask(lane, id, (journal) => journal.head(lane, id), "read");
  }

  async forget(lane: string, ids: readonly string[]): Promise<void> {
    const shards = await this.#places.find(lane, ids);
    const forgotten = [...byShard(ids, shards)].map(([shard, some]) =>
      this.#shards.ask(shard, ({ journal }) => journal.forget(lane, some), "write"),
    );
    await Promise.all(forgotten);
  }
}
