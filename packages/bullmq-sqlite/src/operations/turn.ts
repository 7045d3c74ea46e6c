import type { JobJson } from "bullmq";
import type { Store } from "../store/store.ts";
import { claimAll, hasNothing } from "./claim.ts";
import type { Claim } from "./claim.ts";
import { EndBatch } from "./end-batch.ts";
import type { TurnEnd } from "./end-batch.ts";
import { callFunction } from "./user-function.ts";

/** The terms on which a worker takes up to `count` jobs. */
export interface TurnClaim extends Claim {
  readonly count: number;
}

/** The answer to a turn. */
export interface TurnDone {
  /** For each end 0, or the code of BullMQ with which it was refused. */
  readonly codes: readonly number[];
  /** The places of the ends whose functions failed, and the message of each error. */
  readonly failedCalls: readonly (readonly [at: number, message: string])[];
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
  const failedCalls = callAll(store, ends, codes);
  if (claim === undefined || claim.count <= 0)
    return { codes, failedCalls, jobs: [], limitedFor: 0, nextDue: 0 };
  return { codes, failedCalls, ...claimAll(store, queue, claim, claim.count) };
}

/** Calls the functions of the stored ends. An error of a function undoes its own changes alone. */
function callAll(
  store: Store,
  ends: readonly TurnEnd[],
  codes: readonly number[],
): (readonly [at: number, message: string])[] {
  const failed: (readonly [number, string])[] = [];
  for (const [at, { call }] of ends.entries()) {
    if (call === undefined || codes[at] !== 0) continue;
    try {
      store.operation(() => callFunction(store, call.module, call.name, call.args));
    } catch (error) {
      if (!store.database.isTransaction) throw error; // SQLite has rolled all of it back.
      failed.push([at, error instanceof Error ? error.message : String(error)]);
    }
  }
  return failed;
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
  return nothing && { codes: [], failedCalls: [], jobs: [], limitedFor: 0, nextDue: nothing[3] };
}
