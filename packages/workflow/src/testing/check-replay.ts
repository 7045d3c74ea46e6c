import type { Json } from "@taskloom/queue/wire";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import type { HistoryBounds } from "../journal/bounds.ts";
import { DurableRun } from "../run/durable-run.ts";
import type { RunHost } from "../run/host.ts";

/** The host of a replay: nothing starts. */
const NOWHERE: RunHost = {
  startStep() {},
  submit() {},
  cancel() {},
  answer() {},
  log() {},
  warn() {},
};

/** The identity of a recorded run. */
export interface Recorded {
  readonly id: string;
  readonly args: Json;
  readonly generation?: number;
  readonly bounds?: Partial<HistoryBounds>;
}

/**
 * Replays a history with a workflow, without any effect.
 *
 * @throws {@link ReplayDivergedError} if the code does not follow it.
 */
export async function checkReplay(
  workflow: WorkflowDefinition,
  entries: readonly string[],
  { id, args, generation, bounds }: Recorded,
): Promise<void> {
  const options = { workflow, args, id, host: NOWHERE };
  const run = new DurableRun({
    ...options,
    ...(generation === undefined ? {} : { generation }),
    ...(bounds === undefined ? {} : { bounds }),
  });
  try {
    await run.replay(entries);
  } finally {
    run.dispose();
  }
}
