import { laneOfLaneName } from "../../contract/lane.ts";
import { homeKey, placeOfId } from "../../contract/shard-id.ts";
import { limitNameParts } from "../../contract/task-limits.ts";
import type {
  AskedLimit,
  LimitAnswer,
  LimitEntry,
  LimitPlace,
  LimitState,
  TaskLimits,
} from "../../contract/task-limits.ts";
import { EngineUnsupportedError } from "../../errors.ts";
import { byShard } from "./by-shard.ts";
import type { JobPlaces } from "./job-places.ts";
import type { Shards } from "./shards.ts";
import { shardOfWorker } from "./worker-ids.ts";

/**
 * The limits of tasks on shards. All jobs of a limited task are on the task's home: the shard of a hash of its lane and name. So
 * the engine of one shard grants all slots of a limit, in the same atomic steps as without shards. While an earlier layout
 * drains, a task can have a home in each layout, and each home counts its own jobs. docs/decisions/0020-shards.md has the
 * alternatives.
 */
export class ShardedLimits implements TaskLimits {
  readonly #url: string;
  readonly #shards: Shards;
  readonly #places: JobPlaces;

  constructor(url: string, shards: Shards, places: JobPlaces) {
    this.#url = url;
    this.#shards = shards;
    this.#places = places;
  }

  refuse(task: string, origin: string): never {
    throw new EngineUnsupportedError(
      `Task ${task} has a limit, and ${origin} cannot be on the shard of the task on ${this.#url}. Submit the job by itself, without \`id\` and \`deduplicate\`, or use an engine on one server for the queue of this task`,
    );
  }

  #limits<T>(shard: number, request: (limits: TaskLimits) => Promise<T>, kind?: "write"): Promise<T> {
    return this.#shards.ask(shard, ({ limits }) => request(limits), kind);
  }

  /** Asks the shards that answer: a lost wake or sweep is made up for by the next one. */
  async #eachUp(request: (limits: TaskLimits) => Promise<void>): Promise<void> {
    await Promise.allSettled(this.#shards.up().map((shard) => this.#limits(shard, request)));
  }

  /** Returns the shard of a job that a worker has claimed: the token of its lock names it. */
  async #shardOf(lane: string, id: string, token: string): Promise<number> {
    return shardOfWorker(token) ?? (await this.#places.of(lane, id));
  }

  /** Returns the shards that have jobs of the task of a limit: one in each layout. */
  #homesOf(lane: string, limit: string): readonly number[] {
    return this.#places.ofKey(homeKey(laneOfLaneName(lane) ?? lane, limitNameParts(limit).task));
  }

  async join(lane: string, entries: readonly LimitEntry[]): Promise<void> {
    // The jobs are added next, by the layout that counts now. If it changes between, a job enters its line when it asks.
    await this.#shards.fresh();
    const shards = entries.map(({ id }) => this.#shards.candidates(placeOfId(id))[0]!);
    const joined = [...byShard(entries, shards)].map(([shard, some]) =>
      this.#limits(shard, (limits) => limits.join(lane, some), "write"),
    );
    await Promise.all(joined);
  }

  /** @throws {@link EngineUnsupportedError} for a job that is not on a home of its task, whose limit does not count it. */
  async ask(lane: string, id: string, token: string, asked: readonly AskedLimit[]): Promise<LimitAnswer> {
    const shard = await this.#shardOf(lane, id, token);
    for (const { name } of asked)
      if (!this.#homesOf(lane, name).includes(shard)) this.refuse(limitNameParts(name).task, `job ${id}`);
    return await this.#limits(shard, (limits) => limits.ask(lane, id, token, asked), "write");
  }

  async release(
    lane: string,
    id: string,
    token: string,
    released: readonly string[],
    isBack: boolean,
  ): Promise<void> {
    const shard = await this.#shardOf(lane, id, token);
    await this.#limits(shard, (limits) => limits.release(lane, id, token, released, isBack), "write");
  }

  async wake(lane: string, woken: readonly string[]): Promise<void> {
    await Promise.all(
      woken.flatMap((name) =>
        this.#homesOf(lane, name)
          .filter((shard) => this.#shards.isUp(shard))
          .map((shard) => this.#limits(shard, (limits) => limits.wake(lane, [name]))),
      ),
    );
  }

  async sweep(lane: string): Promise<void> {
    await this.#eachUp((limits) => limits.sweep(lane));
  }

  async drop(lane: string, limit: string): Promise<void> {
    await this.#eachUp((limits) => limits.drop(lane, limit));
  }

  /** Reads all shards. A limit with two homes has the slots and the lines of both. */
  async list(lane: string): Promise<LimitState[]> {
    const found = new Map<string, LimitState>();
    const shards = [...this.#shards.all.keys()];
    const lists = await Promise.all(
      shards.map((shard) => this.#limits(shard, (limits) => limits.list(lane))),
    );
    for (const state of lists.flat()) {
      const { taken = 0, waiting = 0 } = found.get(state.name) ?? {};
      found.set(state.name, { ...state, taken: taken + state.taken, waiting: waiting + state.waiting });
    }
    return [...found.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  async place(lane: string, id: string): Promise<LimitPlace | undefined> {
    const shard = await this.#places.of(lane, id);
    return await this.#limits(shard, (limits) => limits.place(lane, id));
  }
}
