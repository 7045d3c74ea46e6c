import { DurableRun } from "./durable-run.ts";
import type { DurableRunOptions } from "./durable-run.ts";
import type { RunHost } from "./host.ts";

/** The host of a replay: nothing starts. */
export const NOWHERE: RunHost = {
  startStep() {},
  submit() {},
  cancel() {},
  answer() {},
  log() {},
  warn() {},
};

/**
 * Replays a log without effects, page by page, and calls `use` with the run as it is after its last tick.
 *
 * @throws {@link ReplayDivergedError} if the code does not follow the log.
 */
export async function replayPages<T>(
  { host = NOWHERE, ...options }: Omit<DurableRunOptions, "host"> & { readonly host?: RunHost },
  pages: AsyncIterable<readonly string[]> | Iterable<readonly string[]>,
  use: (replayed: DurableRun) => T,
): Promise<T> {
  const run = new DurableRun({ ...options, host });
  try {
    for await (const page of pages) await run.replay(page);
    return use(run);
  } finally {
    run.dispose();
  }
}
