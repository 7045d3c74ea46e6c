import type { Engine } from "../contract/engine.ts";

/** The time between two removals of expired jobs. */
const INTERVAL_MS = 5_000;

/** Removes the expired jobs of lanes, now and again. Returns a function that stops this. */
export function removeRegularly(engine: Engine, laneNames: readonly string[]): () => void {
  let isRemoving = false;
  const remove = async (): Promise<void> => {
    if (isRemoving) return;
    isRemoving = true;
    try {
      for (const name of laneNames) await engine.removeExpired(name);
    } catch {
      // The engine does not answer. The next removal makes up for this one.
    } finally {
      isRemoving = false;
    }
  };
  const timer = setInterval(() => void remove(), INTERVAL_MS).unref();
  return () => clearInterval(timer);
}
