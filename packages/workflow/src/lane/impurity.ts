import { DurableRun } from "../run/durable-run.ts";
import type { DurableRunOptions } from "../run/durable-run.ts";
import type { RunHost } from "../run/host.ts";
import { ReplayDivergedError } from "../errors.ts";

const NOWHERE: RunHost = {
  startStep() {},
  submit() {},
  cancel() {},
  answer() {},
  log() {},
  warn() {},
};

/**
 * Replays a history right after it was made. Code that does not follow it then, with nothing changed, reads something that is
 * not recorded. Returns the reason; undefined for code that follows it.
 */
export async function isImpure(
  parts: Omit<DurableRunOptions, "host">,
  history: readonly string[],
): Promise<string | undefined> {
  const run = new DurableRun({ ...parts, host: NOWHERE });
  try {
    await run.replay(history);
    return undefined;
  } catch (error) {
    if (!(error instanceof ReplayDivergedError)) throw error;
    return `${error.message}\n  The code has not changed meanwhile, so it is impure: after a crash the run could not go on`;
  } finally {
    run.dispose();
  }
}
