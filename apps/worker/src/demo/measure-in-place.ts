import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import type { FileResult } from "./report.ts";
import { LoopDelayMeter } from "../workers/loop-delay-meter.ts";
import type { LoopDelay } from "../workers/loop-delay-meter.ts";
import { digestFile } from "./tasks.ts";

/** The comparison takes about this long at most, in milliseconds. */
const budget = 2_000;

/**
 * Does some of the thread lane's work on this thread, as a program without threads would, and measures how long the
 * loop is kept: the largest files first, since the longest stall is what is asked for.
 */
export async function measureInPlace(
  root: string,
  results: readonly FileResult[],
): Promise<{ readonly delay: LoopDelay; readonly files: number } | undefined> {
  const largest = results.toSorted((a, b) => b.bytes - a.bytes).map(({ path }) => join(root, path));
  // Once before, so that here too it is not starting that is measured.
  for (const path of largest.slice(-1)) digested(path);
  const meter = new LoopDelayMeter();
  const end = performance.now() + budget;
  let files = 0;
  // The meter sees a stall only when the loop comes round to it, so each file gets a turn of its own.
  await turn();
  for (const path of largest) {
    if (performance.now() > end) break;
    if (digested(path)) files++;
    await turn();
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
  meter.stop();
  return meter.delay === undefined || files === 0 ? undefined : { delay: meter.delay, files };
}

/** Whether the file could still be read; one that is gone since is not what is measured here. */
function digested(path: string): boolean {
  try {
    digestFile(path);
    return true;
  } catch {
    return false;
  }
}
