import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import { ReplayDivergedError } from "../errors.ts";
import { checkReplay } from "../run/check-replay.ts";
import type { Recorded } from "../run/check-replay.ts";

/**
 * Replays a history right after it was made. Code that does not follow it then, with nothing changed, reads something that is
 * not recorded. Returns the reason; undefined for code that follows it.
 */
export async function impurityOf(
  workflow: WorkflowDefinition,
  history: readonly string[],
  recorded: Recorded,
): Promise<string | undefined> {
  try {
    await checkReplay(workflow, history, recorded);
    return undefined;
  } catch (error) {
    if (!(error instanceof ReplayDivergedError)) throw error;
    return `${error.message}\n  The code has not changed meanwhile, so it is impure: after a crash the run could not go on`;
  }
}
