import type { JobData, OpenedRun } from "@taskloom/queue/lane";
import type { ResidentRun } from "./resident-run.ts";

/** Returns whether a run is where it was when it was retried. */
export function isAtRetry({ retried }: JobData, generation: number, length: number): boolean {
  return retried?.generation === generation && retried.length === length;
}

/** Returns the number of workers that died at this length of the log, since the last retry. */
export function deathsOf({ generation, length, deaths }: OpenedRun, data: JobData): number {
  return isAtRetry(data, generation, length) ? deaths - data.retried!.deaths : deaths;
}

/** Returns the first entry that an opening reads: the last one of a run in memory. */
export function firstEntryFor(cached: ResidentRun | undefined): number {
  return Math.max(0, (cached?.length ?? 0) - 1);
}

/**
 * Returns whether a run in memory is at the place at which the engine has it, with no owner in between. If the engine has
 * lost its last writes, another owner can have come to the same place by another way: its last entry differs.
 */
export function isOf({ record, length }: ResidentRun, opened: OpenedRun): boolean {
  const { epoch, generation } = record.place;
  if (opened.epoch !== epoch + 1 || opened.generation !== generation || opened.length !== length)
    return false;
  return opened.entries.at(-1) === record.last;
}
