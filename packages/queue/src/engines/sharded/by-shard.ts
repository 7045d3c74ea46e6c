/** Divides items by their shards, which are in the order of the items. */
export function byShard<I>(items: readonly I[], shards: readonly number[]): Map<number, I[]> {
  return Map.groupBy(items, (_, at) => shards[at]!);
}

/** Calls a function for the items of each shard at once, and returns the results in the order of the items. */
export async function eachGroup<I, T>(
  items: readonly I[],
  shards: readonly number[],
  call: (shard: number, some: readonly I[]) => Promise<readonly T[]>,
): Promise<T[]> {
  const results: T[] = [];
  await Promise.all(
    [...byShard([...items.entries()], shards)].map(async ([shard, group]) => {
      const some = await call(
        shard,
        group.map(([, item]) => item),
      );
      for (const [index, [at]] of group.entries()) results[at] = some[index]!;
    }),
  );
  return results;
}
