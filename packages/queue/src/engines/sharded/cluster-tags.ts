import slotOf from "cluster-key-slot";
import type { ClusterRange } from "../redis/cluster-ranges.ts";

/** The tag of the first shard, which is that of a queue without shards. */
export const FIRST_TAG = "taskloom";
/** The number of tags that are tried for each place; about one in four slots has one of them. */
const TRIED = 4_096;

/** Returns the slot of a hash tag. */
export function slotOfTag(tag: string): number {
  return slotOf(prefixOfTag(tag));
}

/** Returns the prefix of the keys of a shard. */
export function prefixOfTag(tag: string): string {
  return `{${tag}}`;
}

/**
 * Returns hash tags for `count` shards that begin with the given ones. Each new shard goes to the master with the fewest
 * shards. The shards of one master are spread over its slots, so that a part of the slots can be moved to a new master with
 * a fair share of the shards.
 */
export function chooseTags(
  given: readonly string[],
  count: number,
  ranges: readonly ClusterRange[],
): string[] {
  const tags = given.length === 0 ? [FIRST_TAG] : [...given];
  const slotsOf = new Map<string, number[]>();
  for (const { from, to, master } of ranges) {
    const slots = slotsOf.get(master) ?? [];
    for (let slot = from; slot <= to; slot++) slots.push(slot);
    slotsOf.set(master, slots);
  }
  const masterOf = (slot: number): string | undefined =>
    ranges.find(({ from, to }) => from <= slot && slot <= to)?.master;
  const loads = new Map([...slotsOf.keys()].map((master) => [master, 0]));
  for (const tag of tags) {
    const master = masterOf(slotOfTag(tag));
    if (master !== undefined) loads.set(master, loads.get(master)! + 1);
  }
  while (tags.length < count) {
    const [master, load] = [...loads].reduce((least, each) => (each[1] < least[1] ? each : least));
    const slots = slotsOf.get(master)!;
    tags.push(tagNear(slots[Math.floor(slots.length * fractionOf(load))]!, new Set(slots), new Set(tags)));
    loads.set(master, load + 1);
  }
  return tags;
}

/** Returns the `n`th point of an even spread: 1/2, 1/4, 3/4, 1/8 …, as van der Corput's sequence has them. */
function fractionOf(n: number): number {
  let fraction = 0;
  let share = 0.5;
  for (let rest = n + 1; rest > 0; rest >>= 1, share /= 2) if (rest & 1) fraction += share;
  return fraction;
}

/** Returns the unused tag among the allowed slots whose slot is nearest to a given one. */
function tagNear(target: number, allowed: ReadonlySet<number>, used: ReadonlySet<string>): string {
  let best = "";
  let distance = Infinity;
  for (let n = 1; n <= TRIED; n++) {
    const tag = `${FIRST_TAG}-${n}`;
    const slot = slotOfTag(tag);
    if (!allowed.has(slot) || used.has(tag) || Math.abs(slot - target) >= distance) continue;
    best = tag;
    distance = Math.abs(slot - target);
  }
  return best;
}
