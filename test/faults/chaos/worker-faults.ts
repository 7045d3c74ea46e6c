import { setTimeout as delay } from "node:timers/promises";
import type { Fault } from "./chaos-run.ts";

/**
 * The duration in milliseconds of a worker's stop; longer than its locks (8 s) and the interval of the
 * stalled check.
 */
const suspendFor = 13_000;

/** The faults of workers, the same on every engine, each in a run of its own. */
export const workerFaults: Readonly<Record<string, () => Fault>> = {
  "kill -9 of workers": () => async (workers) => {
    await delay(3_000);
    await workers.replaceOldest();
  },
  "SIGSTOP of workers beyond the lock": () => async (workers) => {
    await workers.suspendOldest(suspendFor);
    await delay(2_000);
  },
};
