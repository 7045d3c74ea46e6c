import type { Json } from "@taskloom/queue/wire";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import { WorkflowOptionsError } from "../errors.ts";
import type { DurableRun } from "../run/durable-run.ts";
import type { RunHost } from "../run/host.ts";
import { replayPages } from "../run/replay.ts";
import type { RunSnapshot } from "./read-run.ts";

/** The facts about a run that a replay needs. */
export type ReplayedRun = Pick<
  RunSnapshot,
  "id" | "task" | "version" | "args" | "generation" | "deadline" | "timeout"
>;

/** Returns the workflow of a run; undefined if it is not among the given ones, in the run's version. */
export function workflowOf(
  run: ReplayedRun,
  workflows: Iterable<WorkflowDefinition>,
): WorkflowDefinition | undefined {
  for (const workflow of workflows) {
    const { name, version } = workflow.task;
    if (name === run.task && version === (run.version ?? 1)) return workflow;
  }
  return undefined;
}

/**
 * Returns the workflow of a run.
 *
 * @throws {@link WorkflowOptionsError} if it is not among the given ones.
 */
export function workflowNeededBy(
  run: ReplayedRun,
  workflows: Iterable<WorkflowDefinition>,
): WorkflowDefinition {
  const workflow = workflowOf(run, workflows);
  if (workflow !== undefined) return workflow;
  throw new WorkflowOptionsError(
    `Expected the workflows to have ${run.task}@${run.version ?? 1} of run ${run.id}; name the module that exports it`,
  );
}

/**
 * Replays the log of a run without effects, and calls `use` with the run as it is after its last stored tick.
 *
 * @throws ReplayDivergedError if the code does not follow the history.
 */
export async function replayLog<T>(
  workflow: WorkflowDefinition,
  run: ReplayedRun,
  log: AsyncIterable<readonly string[]>,
  use: (replayed: DurableRun) => T,
  host?: RunHost,
): Promise<T> {
  const { id, args, generation, deadline, timeout } = run;
  const options = { workflow, id, args: args as Json, generation, limits: { deadline, timeout } };
  return await replayPages(host === undefined ? options : { ...options, host }, log, use);
}
