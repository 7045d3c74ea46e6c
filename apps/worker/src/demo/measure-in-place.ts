import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import type { FileResult } from "./report.ts";
import { LoopDelayMeter } from "../workers/loop-delay-meter.ts";
import type { LoopDelay } from "../workers/loop-delay-meter.ts";
import { digestFile } from "./tasks.ts";

/** The longest time of the comparison. */
const BUDGET_MS = 2_000;

/**
 * Runs a part of the thread lane's work on this thread, as a program without threads would, and measures the delay of
 * the loop. The largest files come first, because the longest delay is wanted.
 */
export async function measureInPlace(
  root: string,
  results: readonly FileResult[],
): Promise<{ readonly delay: LoopDelay; readonly files: number } | undefined> {
  const largest = results.toSorted((a, b) => b.bytes - a.bytes).map(({ path }) => join(root, path));
  // One file runs before the measurement, so that the start of the code is not measured.
  for (const path of largest.slice(-1)) digested(path);
  const meter = new LoopDelayMeter();
  const end = performance.now() + BUDGET_MS;
  let files = 0;
  // The meter takes a reading once a turn, so each file has a turn of its own.
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

/** Returns whether the file could be read. A file that no longer exists does not count. */
function digested(path: string): boolean {
  try {
    digestFile(path);
    return true;
  } catch {
    return false;
  }
}
