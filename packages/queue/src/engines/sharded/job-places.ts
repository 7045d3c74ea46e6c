import { placeOfId, placeOfKey } from "../../contract/shard-id.ts";
import type { Shards } from "./shards.ts";

/** The number of jobs whose shard is remembered. */
const REMEMBERED = 20_000;

/**
 * The shards of jobs, keys and schedules. As long as the layout is the first one, each is computed. While an earlier layout
 * drains, a job whose id is hashed can be on the shard of either layout, and is looked for.
 */
export class JobPlaces {
  readonly #shards: Shards;
  /** The shards of jobs that were found, the oldest first. */
  readonly #known = new Map<string, number>();

  constructor(shards: Shards) {
    this.#shards = shards;
  }

  /** Returns the shard of a job if it is known without a question: the one that new jobs of the id go to otherwise. */
  likely(laneName: string, id: string): number {
    const [target, ...others] = this.#shards.candidates(placeOfId(id));
    return others.length === 0 ? target! : (this.#known.get(`${laneName}:${id}`) ?? target!);
  }

  /** Remembers the shard on which a job was seen, if the id does not show it. */
  saw(laneName: string, id: string, shard: number): void {
    if (this.#shards.layout.earlier.length === 0 && placeOfId(id).kind !== "foreign") return;
    const key = `${laneName}:${id}`;
    this.#known.delete(key);
    this.#known.set(key, shard);
    if (this.#known.size <= REMEMBERED) return;
    const [oldest] = this.#known.keys();
    this.#known.delete(oldest!);
  }

  /** Returns the shard that has each job, or that would take it if no shard has it. */
  async find(laneName: string, ids: readonly string[]): Promise<number[]> {
    const candidates = ids.map((id) => this.#shards.candidates(placeOfId(id)));
    const found = candidates.map(([target]) => target!);
    const others = candidates.flatMap(([, ...shards], at) => shards.map((shard) => ({ shard, at })));
    if (others.length === 0) return found;
    // Another shard has the job only if an earlier layout has stored it there.
    for (const [shard, group] of Map.groupBy(others, (other) => other.shard)) {
      const some = group.map(({ at }) => ids[at]!);
      const stored = await this.#shards.ask(shard, (engine) => engine.lookup(laneName, some));
      for (const [index, { kind }] of stored.entries())
        if (kind !== "missing") found[group[index]!.at] = shard;
    }
    for (const [at, id] of ids.entries()) this.saw(laneName, id, found[at]!);
    return found;
  }

  /** Returns the shard that has a job, or that would take it. */
  async of(laneName: string, id: string): Promise<number> {
    const candidates = this.#shards.candidates(placeOfId(id));
    return candidates.length === 1 ? candidates[0]! : (await this.find(laneName, [id]))[0]!;
  }

  /** Returns the shards that can have a deduplication key or a schedule, the one that takes new ones first. */
  ofKey(key: string): readonly number[] {
    return this.#shards.candidates(placeOfKey(key));
  }
}
