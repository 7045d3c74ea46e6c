import type { Engine } from "../contract/engine.ts";
import { limitNameParts } from "../contract/task-limits.ts";
import type { RunnableTask } from "../definition/define-task.ts";
import { regularly } from "./regularly.ts";

/** The time between two sweeps of a worker that has limited tasks. */
const INTERVAL_MS = 5_000;
/** A worker without limited tasks sweeps in each of so many intervals, for limits that tasks had before. */
const RARELY = 12;

/**
 * Sweeps the limits of lanes, now and again: frees the slots of dead workers, and drops limits that a task of this worker does
 * not have any more. Returns a function that stops this.
 */
export function sweepLimits(
  engine: Engine,
  laneNames: readonly string[],
  tasks: ReadonlyMap<string, RunnableTask>,
): () => void {
  const isLimiting = [...tasks.values()].some(({ task }) => task.limits !== undefined);
  let intervals = 0;
  const sweeping = regularly(INTERVAL_MS, async () => {
    if (!isLimiting && intervals++ % RARELY > 0) return;
    for (const lane of laneNames) {
      await engine.limits.sweep(lane);
      for (const { name } of await engine.limits.list(lane))
        if (isGone(name, tasks)) await engine.limits.drop(lane, name);
    }
  });
  sweeping.begin();
  return sweeping.stop;
}

/** Whether a stored limit belongs to a task of this worker that has no such limit. */
function isGone(name: string, tasks: ReadonlyMap<string, RunnableTask>): boolean {
  const { kind, task, key } = limitNameParts(name);
  const known = tasks.get(task);
  if (known === undefined) return false;
  const limits = known.task.limits ?? [];
  return limits.every((limit) => limit.kind !== kind || (limit.key === undefined) !== (key === undefined));
}
