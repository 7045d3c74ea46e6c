import { allTasks, captureCallGraph, captureWaits } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import type { WorkflowDefinition } from "../definition/workflow-definition.ts";
import type { DurableRun } from "../run/durable-run.ts";
import type { RunHost } from "../run/host.ts";
import { NOWHERE } from "../run/replay.ts";
import { replayLog, workflowNeededBy } from "./replay-log.ts";
import type { ReplayedRun } from "./replay-log.ts";

/** A task of a run, its position in the code, and the tasks that it awaits. */
export interface RunTask {
  readonly name: string;
  /** One line for each coroutine of the user with its file and line, outermost first. */
  readonly stack: readonly string[];
  /** The awaited objects as text; undefined for a task that has ended. */
  readonly waitsFor: string | undefined;
  readonly children: readonly RunTask[];
}

/** A step, job or child of a run that has not ended. */
export interface PendingCall {
  readonly command: number;
  readonly kind: "step" | "job" | "child";
  readonly name: string;
}

/** The call graph of a run after its last stored tick. */
export interface RunTree {
  readonly roots: readonly RunTask[];
  readonly pending: readonly PendingCall[];
  /** The time at which the run goes on by itself, in milliseconds since 1970; undefined if only a delivery continues it. */
  readonly wakeAt: number | undefined;
}

/** The lines of this package, such as those of `receive`, are not where a user looks for a wait. */
const OWN_FOLDER = new URL("..", import.meta.url).pathname;

/**
 * Returns the call graph of a run, by a replay of its log without effects.
 *
 * @throws ReplayDivergedError if the code does not follow the history, WorkflowOptionsError if the workflow of the run is
 *   not among the given ones.
 */
export async function treeOfLog(
  run: ReplayedRun,
  workflows: Iterable<WorkflowDefinition>,
  log: AsyncIterable<readonly string[]>,
): Promise<RunTree> {
  const workflow = workflowNeededBy(run, workflows);
  const pending: PendingCall[] = [];
  // At the end of a replay the run takes up its open calls. This host only records them.
  const host: RunHost = {
    ...NOWHERE,
    startStep: ({ command, task }) => void pending.push({ command, kind: "step", name: task.task.name }),
    submit: ({ command, task, isWorkflow }) =>
      void pending.push({ command, kind: isWorkflow ? "child" : "job", name: task.task.name }),
  };
  const use = (replayed: DurableRun): RunTree => ({
    roots: rootsOf([...allTasks(replayed.loop)]),
    wakeAt: replayed.main === null ? undefined : replayed.live(replayed.time).wakeAt,
    pending,
  });
  return await replayLog(workflow, run, log, use, host);
}

function rootsOf(tasks: readonly Task<unknown>[]): RunTask[] {
  const known = new Set(tasks);
  const children = new Map<Task<unknown>, Task<unknown>[]>();
  const roots: Task<unknown>[] = [];
  for (const task of tasks) {
    const parents = (captureCallGraph(task)?.awaitedBy ?? [])
      .map((each) => each.task)
      .filter((parent) => known.has(parent) && parent !== task);
    if (parents.length === 0) roots.push(task);
    for (const parent of parents) children.set(parent, [...(children.get(parent) ?? []), task]);
  }
  // Tasks that wait for each other have no root among them, so the second list starts at any of them.
  const shown = new Set<Task<unknown>>();
  const nodes: RunTask[] = [];
  for (const task of [...roots, ...tasks]) if (!shown.has(task)) nodes.push(nodeOf(task, children, shown));
  return nodes;
}

function nodeOf(
  task: Task<unknown>,
  children: ReadonlyMap<Task<unknown>, readonly Task<unknown>[]>,
  shown: Set<Task<unknown>>,
): RunTask {
  shown.add(task);
  const waits = captureWaits(task);
  const nodes: RunTask[] = [];
  for (const child of children.get(task) ?? [])
    if (!shown.has(child)) nodes.push(nodeOf(child, children, shown));
  return {
    name: task.getName(),
    stack: task
      .getStack()
      .map((line) => line.trim())
      .filter((line) => !line.includes(OWN_FOLDER)),
    waitsFor: waits.length === 0 ? undefined : waits.map(({ description }) => description).join(" and "),
    children: nodes,
  };
}
