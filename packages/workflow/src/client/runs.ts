import type { TaskQueue } from "@taskloom/queue";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import { checkRuns } from "../operate/check-runs.ts";
import type { HistoryCheck } from "../operate/check-runs.ts";
import { listRuns } from "../operate/list-runs.ts";
import type { RunPage, RunQuery } from "../operate/list-runs.ts";
import { logPages } from "../operate/read-log.ts";
import { readRun } from "../operate/read-run.ts";
import { runAddress } from "../operate/run-address.ts";
import { treeOfLog } from "../operate/run-tree.ts";
import type { RunTree } from "../operate/run-tree.ts";
import type { WorkflowRun } from "./workflow-run.ts";

/**
 * Lists the runs of a queue, the newest first. A page reads a bounded number of runs; `next` continues it.
 *
 * @throws TaskOptionsError for a cursor that no page has returned.
 * @example
 * ```ts
 * import { TaskQueue } from "@taskloom/queue";
 * import { runs } from "@taskloom/workflow";
 *
 * await using queue = new TaskQueue({ engine: "memory:" });
 * const page = await runs(queue, { state: "parked", tag: "eu" });
 * console.log(page.runs.length, page.next); // 0 undefined
 * ```
 */
export async function runs(queue: TaskQueue, query: RunQuery = {}): Promise<RunPage> {
  return await listRuns(queue.engine, [queue.name], query);
}

/**
 * Replays the histories of all runs of a queue that are alive against the given code, without effects. Runs that begin
 * during the check may be left out.
 *
 * @example
 * ```ts
 * import { TaskQueue } from "@taskloom/queue";
 * import { checkHistories, defineWorkflow } from "@taskloom/workflow";
 *
 * const order = defineWorkflow({ name: "order" }, function* () {});
 * await using queue = new TaskQueue({ engine: "memory:" });
 * const { checked, diverged } = await checkHistories(queue, [order]);
 * console.log(checked, diverged.length); // 0 0
 * ```
 */
export async function checkHistories(
  queue: TaskQueue,
  workflows: readonly WorkflowDefinition[],
): Promise<HistoryCheck> {
  const { engine, name } = queue;
  return await checkRuns(
    {
      runs: (query) => listRuns(engine, [name], query),
      run: (id) => readRun(engine, [name], id),
      log: ({ id }) => logPages(engine, runAddress({ queue: name, id })),
    },
    workflows,
  );
}

/**
 * Returns the call graph of a run with file and line, by a replay of its history without effects. No worker is needed, and
 * the run is not touched.
 *
 * @throws ReplayDivergedError if the code does not follow the history, WorkflowOptionsError if the workflow of the run is
 *   not among the given ones, RunUnknownError if there is no such run.
 */
export async function treeOf(
  queue: TaskQueue,
  run: WorkflowRun<unknown>,
  workflows: readonly WorkflowDefinition[],
): Promise<RunTree> {
  const { engine } = queue;
  const snapshot = await run.status();
  return await treeOfLog(snapshot, workflows, logPages(engine, runAddress(snapshot)));
}
