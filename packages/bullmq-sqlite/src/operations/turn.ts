import type { JobJson } from "bullmq";
import type { Store } from "../store/store.ts";
import { claimAll, hasNothing } from "./claim.ts";
import type { Claim } from "./claim.ts";
import { EndBatch } from "./end-batch.ts";
import type { TurnEnd } from "./end-batch.ts";

/** The terms on which a worker takes up to `count` jobs. */
export interface TurnClaim extends Claim {
  readonly count: number;
}

/** The answer to a turn. */
export interface TurnDone {
  /** For each end 0, or the code of BullMQ with which it was refused. */
  readonly codes: readonly number[];
  readonly jobs: readonly JobJson[];
  /** Milliseconds; 0 without a rate limit. */
  readonly limitedFor: number;
  /** When the next delayed job is due, in milliseconds of the epoch; 0 if there is none. */
  readonly nextDue: number;
}

/** Stores the ends of runs, each of which can be refused alone, and then takes the worker's next jobs. */
export function turn(
  store: Store,
  queue: string,
  ends: readonly TurnEnd[],
  claim: TurnClaim | undefined,
): TurnDone {
  const batch = new EndBatch(store, queue);
  const codes = ends.map((end) => batch.add(end));
  batch.finish();
  if (claim === undefined || claim.count <= 0) return { codes, jobs: [], limitedFor: 0, nextDue: 0 };
  return { codes, ...claimAll(store, queue, claim, claim.count) };
}

/** Returns the answer to a turn without ends that finds no job, as `hasNothing` does; undefined if it may find one. */
export function turnHasNothing(
  store: Store,
  queue: string,
  ends: readonly TurnEnd[],
  claim: TurnClaim | undefined,
): TurnDone | undefined {
  if (ends.length > 0 || claim === undefined) return undefined;
  const nothing = hasNothing(store, queue, claim);
  return nothing && { codes: [], jobs: [], limitedFor: 0, nextDue: nothing[3] };
}
