import type { Engine } from "../contract/engine.ts";
import { regularly } from "./regularly.ts";

/** The time between two removals of expired jobs. */
const INTERVAL_MS = 5_000;

/** Removes the expired jobs of lanes, now and again. Returns a function that stops this. */
export function removeRegularly(engine: Engine, laneNames: readonly string[]): () => void {
  return regularly(INTERVAL_MS, async () => {
    for (const name of laneNames) await engine.removeExpired(name);
  }).stop;
}
