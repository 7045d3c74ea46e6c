import { setTimeout as delay } from "node:timers/promises";
import type { ConnectToRenew, LockExtender } from "../../contract/lock-terms.ts";
import { connectToRenew as connectToShard } from "../redis/renewal-connection.ts";
import type { RenewalServer } from "../redis/renewal-connection.ts";
import { byShard } from "./by-shard.ts";
import { shardOfWorker } from "./worker-ids.ts";

/** The time for which a round of renewals waits for a shard. The next round follows half a second later. */
const ROUND_MS = 300;

/**
 * Connects to all shards whose locks the renewing thread renews. Each lock is extended on the shard that its token names. A
 * shard that does not answer does not delay the locks of the others.
 */
export const connectToRenew: ConnectToRenew<readonly RenewalServer[]> = (servers, queues, patience) => {
  // A connection is opened with the first lock of its shard.
  const opened = new Map<number, LockExtender[]>();
  const extenderOf = (shard: number, queue: number): LockExtender => {
    let extenders = opened.get(shard);
    if (extenders === undefined)
      opened.set(shard, (extenders = connectToShard(servers[shard]!, queues, patience)));
    return extenders[queue]!;
  };
  return queues.map((_, queue): LockExtender => {
    const busy = new Set<number>();
    const extendOn = async (
      shard: number,
      ids: string[],
      tokens: string[],
      duration: number,
    ): Promise<string[]> => {
      if (busy.has(shard)) return [];
      busy.add(shard);
      const extended = extenderOf(shard, queue)
        .extend(ids, tokens, duration)
        .catch((): string[] => []) // The next round renews again.
        .finally(() => busy.delete(shard));
      return await Promise.race([extended, delay(ROUND_MS, [])]);
    };
    return {
      async extend(ids, tokens, duration) {
        const locks = ids.map((id, at) => ({ id, token: tokens[at]! }));
        const shards = tokens.map((token) => shardOfWorker(token) ?? 0);
        const lost = await Promise.all(
          [...byShard(locks, shards)].map(([shard, some]) =>
            extendOn(
              shard,
              some.map(({ id }) => id),
              some.map(({ token }) => token),
              duration,
            ),
          ),
        );
        return lost.flat();
      },
    };
  });
};
