import type { Json } from "@taskloom/queue/wire";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import type { HistoryBounds } from "../journal/bounds.ts";
import { replayPages } from "./replay.ts";
import type { RunLimits } from "./run-limits.ts";

/** The identity of a recorded run. */
export interface Recorded {
  readonly id: string;
  /** The encoded list of arguments. */
  readonly args: Json;
  /** The number of histories before this one, by `continueAs`. Default 0. */
  readonly generation?: number;
  readonly bounds?: Partial<HistoryBounds>;
  /** The deadline and the timeout of its submission. Default: none. */
  readonly limits?: RunLimits;
}

/**
 * Replays a history with a workflow, without any effect. A history that follows a `continueAs` has the arguments of the
 * continuation and its generation.
 *
 * @throws {@link ReplayDivergedError} if the code does not follow it.
 */
export async function checkReplay(
  workflow: WorkflowDefinition,
  entries: readonly string[],
  { id, args, generation, bounds, limits }: Recorded,
): Promise<void> {
  const options = {
    workflow,
    args,
    id,
    generation: generation ?? 0,
    bounds: bounds ?? {},
    limits: limits ?? {},
  };
  await replayPages(options, [entries], () => {});
}
