import type { Engine } from "../contract/engine.ts";

/** How often a worker looks for jobs that have been kept for long enough; milliseconds. */
const interval = 5_000;

/** Removes what has been kept for long enough from BullMQ queues, from now on; gives how to stop that. */
export function forgetRegularly(engine: Engine, laneNames: readonly string[]): () => void {
  let isForgetting = false;
  const forget = async (): Promise<void> => {
    if (isForgetting) return;
    isForgetting = true;
    try {
      for (const name of laneNames) await engine.removeExpired(name);
    } catch {
      // The engine does not answer; there is a next time.
    } finally {
      isForgetting = false;
    }
  };
  const timer = setInterval(() => void forget(), interval).unref();
  return () => clearInterval(timer);
}
