/**
 * A run checks its jobs from time to time: the worker of a job can die after the job's end, and before it is delivered. The
 * pause grows with the time that the run has waited, so a lost end is late by about the time that the job has taken, and a
 * job that takes hours costs two looks a minute.
 */
const FIRST_LOOK_MS = 1_000;
const LONGEST_LOOK_MS = 30_000;
/** Within one process nothing is lost between both, and virtual time is not to be cut into small parts. */
const LOCAL_LOOK_MS = 3_600_000;

/** The facts on which a run stays in memory or is parked. Times are milliseconds of the engine's clock. */
export interface Resting {
  readonly now: number;
  /** The number of steps that run in this worker. */
  readonly steps: number;
  /** The number of calls without an end. */
  readonly pending: number;
  readonly wakeAt: number | undefined;
  /** The time from which on the run stays in memory for `residentFor`: its last tick, or its return to the memory. */
  readonly busyAt: number;
  /** The time of the last tick. */
  readonly tickedAt: number;
  /** Milliseconds for which a run that only waits stays in memory. */
  readonly residentFor: number;
  /** Whether the worker and all others are this process. */
  readonly isLocal: boolean;
}

/** Stay in memory until a time, or for as long as it takes; or be parked until a time. */
export type Rest =
  | { readonly kind: "stay"; readonly until: number | undefined }
  | { readonly kind: "park"; readonly until: number };

/** Returns the pause after a check of the jobs of a run that had waited for so many milliseconds then. */
export function pauseOfLooks(waited: number): number {
  return Math.min(LONGEST_LOOK_MS, Math.max(FIRST_LOOK_MS, waited));
}

/** Returns how a run rests that has nothing to do now. */
export function restOf({
  now,
  steps,
  pending,
  wakeAt,
  busyAt,
  tickedAt,
  residentFor,
  isLocal,
}: Resting): Rest {
  if (steps > 0) return { kind: "stay", until: wakeAt };
  if (wakeAt !== undefined && wakeAt - now <= residentFor) return { kind: "stay", until: wakeAt };
  if (now - busyAt < residentFor)
    return { kind: "stay", until: Math.min(wakeAt ?? Infinity, busyAt + residentFor) };
  const look = pending > 0 ? now + (isLocal ? LOCAL_LOOK_MS : pauseOfLooks(now - tickedAt)) : Infinity;
  return { kind: "park", until: Math.min(wakeAt ?? Infinity, look) };
}
