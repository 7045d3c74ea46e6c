/** Divides items by their shards: for each shard the places of its items. */
export function byShard(shards: readonly number[]): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  for (const [at, shard] of shards.entries()) {
    const group = groups.get(shard);
    if (group === undefined) groups.set(shard, [at]);
    else group.push(at);
  }
  return groups;
}

/** Calls a function for the items of each shard at once, and returns the results in the order of the items. */
export async function eachGroup<T>(
  shards: readonly number[],
  call: (shard: number, places: readonly number[]) => Promise<readonly T[]>,
): Promise<T[]> {
  const results: T[] = [];
  await Promise.all(
    [...byShard(shards)].map(async ([shard, places]) => {
      const some = await call(shard, places);
      for (const [index, at] of places.entries()) results[at] = some[index]!;
    }),
  );
  return results;
}
