import { otherLane } from "../../contract/lane.ts";
import type { TaskLane } from "../../contract/lane.ts";
import { LANE_CLAIM_MS } from "../../contract/engine.ts";

/** {@link Engine.claimLane} for an engine whose submitters are all in this process. */
export class LocalLaneClaims {
  readonly #claims = new Map<string, { readonly lane: TaskLane; readonly until: number }>();

  claim(queue: string, lane: TaskLane, ids: readonly string[], now: number): ReadonlySet<string> {
    // Claims are in the order in which they were set, so those that have lapsed are at the front.
    for (const [key, { until }] of this.#claims) {
      if (until > now) break;
      this.#claims.delete(key);
    }
    const mine = new Set<string>();
    for (const id of ids) {
      const key = `${queue}:${id}`;
      if (this.#claims.get(key)?.lane === otherLane(lane)) continue;
      this.#claims.delete(key);
      this.#claims.set(key, { lane, until: now + LANE_CLAIM_MS });
      mine.add(id);
    }
    return mine;
  }
}
