import { FutureCore } from "../task/future-core.ts";
import { Task } from "../task/task.ts";
import { currentTask } from "../task/current.ts";
import { describeState } from "../task/describe-future.ts";

/** A task, its stack, and the tasks that await it. */
export interface CallGraph {
  /** The task. */
  task: Task<unknown>;
  /** One line for each coroutine, outermost first, as `task.getStack()` returns them. */
  stack: string[];
  /** The tasks that await the task. */
  awaitedBy: CallGraph[];
  /** Whether the task is already above in the graph, because tasks await each other. */
  isCycle: boolean;
}

/**
 * Returns the call graph of a task (by default the current task): its stack of coroutines, the tasks that await it,
 * their stacks, and so on. Returns null if there is no task. The graph is read from the tasks at the call, and costs
 * nothing before.
 *
 * ```ts
 * import { captureCallGraph, coroutine, createTask, formatCallGraph, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const inner = createTask(coroutine(function* inner() { yield* sleep(1); })(), { name: "inner" });
 *   const outer = createTask(function* () { yield* inner; }, { name: "outer" });
 *   await sleep(0);
 *   console.log(captureCallGraph(inner)?.awaitedBy[0]?.task.getName()); // outer
 *   console.log(formatCallGraph(inner).includes("awaited by")); // true
 *   await outer;
 * });
 * ```
 *
 * After CPython 3.14's `asyncio.capture_call_graph`.
 */
export function captureCallGraph(task: Task<unknown> | null = currentTask()): CallGraph | null {
  return task === null ? null : capture(task, new Set());
}

function capture(task: Task<unknown>, above: Set<Task<unknown>>): CallGraph {
  if (above.has(task)) return { task, stack: [], awaitedBy: [], isCycle: true };
  const inside = new Set(above).add(task);
  return {
    task,
    stack: task.getStack(),
    awaitedBy: [...awaiters(task)].map((awaiter) => capture(awaiter, inside)),
    isCycle: false,
  };
}

/** Returns the tasks that wait for a future, also through a gather, a wait or a shield. */
function awaiters(future: FutureCore<unknown>, found = new Set<Task<unknown>>()): Set<Task<unknown>> {
  const wakers = future._wakers;
  for (const waker of wakers === null ? [] : Array.isArray(wakers) ? wakers : [wakers]) {
    const next = waker._towards();
    if (next === null) continue;
    if (next instanceof Task) found.add(next);
    else if (next instanceof FutureCore) awaiters(next, found);
    else if ("_task" in next && next._task instanceof Task) found.add(next._task);
  }
  return found;
}

/**
 * Returns a call graph as text.
 *
 * ```ts
 * import { createTask, formatCallGraph, run, sleep } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const task = createTask(sleep(1), { name: "sleeper" });
 *   console.log(formatCallGraph(task)); // * Task 'sleeper' pending
 *   await task;
 * });
 * ```
 */
export function formatCallGraph(graph: CallGraph | Task<unknown> | null = captureCallGraph()): string {
  const whole = graph instanceof Task ? captureCallGraph(graph) : graph;
  return whole === null ? "" : format(whole, "").join("\n");
}

function format(graph: CallGraph, indent: string): string[] {
  const { task, stack, awaitedBy, isCycle } = graph;
  const head = `${indent}* ${task.constructor.name} '${task.getName()}' ${describeState(task)}`;
  if (isCycle) return [`${head} (cycle: it is above)`];
  const lines = [head];
  if (stack.length > 0) {
    lines.push(`${indent}  + call stack, innermost last`);
    lines.push(...stack.map((line) => `${indent}  |   ${line}`));
  }
  if (awaitedBy.length > 0) {
    lines.push(`${indent}  + awaited by`);
    for (const each of awaitedBy) lines.push(...format(each, `${indent}    `));
  }
  return lines;
}
