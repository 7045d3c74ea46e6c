import { DurableRun } from "../run/durable-run.ts";
import { currentRunLoop } from "../run/run-loop.ts";

/** Returns the run whose code calls, or null outside any run. */
export function runHere(): DurableRun | null {
  const run = currentRunLoop()?.run;
  return run instanceof DurableRun ? run : null;
}
