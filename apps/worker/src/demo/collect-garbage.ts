import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Collects the garbage of this thread and returns its empty pages to the system, once, in some tenths of a second. V8
 * does this on its own only when something allocates, so the heap that a job has grown would stay while nothing runs.
 * The flag exists for new contexts only while the function is taken from one.
 */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { type: "major"; flavor: "last-resort" }) => void;
  setFlagsFromString("--no-expose-gc");
  collect({ type: "major", flavor: "last-resort" });
}
