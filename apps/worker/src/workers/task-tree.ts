import { allTasks, captureCallGraph, captureWaits, getEventLoop } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";
import { duration } from "../terminal/duration.ts";

/** A live task, its position in the code, and the tasks that it awaits. */
export interface TaskNode {
  readonly name: string;
  readonly state: string;
  /** One line for each coroutine, outermost first. */
  readonly stack: readonly string[];
  /** The awaited objects as text; undefined while the task is ready to run. */
  readonly waitsFor: string | undefined;
  /**
   * Milliseconds for which every snapshot has found the task waiting for the same object. Undefined if snapshots cannot
   * compare the objects: the task does not know the identity of a promise that is not Taskloom's.
   */
  readonly since: number | undefined;
  readonly children: readonly TaskNode[];
}

/** The tasks of a process at one moment. */
export interface TaskForest {
  readonly roots: readonly TaskNode[];
  /** The number of all tasks, shown or not. */
  readonly total: number;
}

/** The tasks of one snapshot: as many as a person can read, and as a worker can store every second. */
const MAX_TASKS = 200;
/** The characters of one snapshot and of each text in it: the names of tasks can have any length. */
const MAX_CHARACTERS = 65_536;
const MAX_TEXT = 200;

/** Takes snapshots of the tasks of a process. From two snapshots it knows how long a task has waited. */
export class TaskWatch {
  readonly #waits = new WeakMap<Task<unknown>, { readonly on: readonly object[]; readonly since: number }>();
  readonly #hidden: (task: Task<unknown>) => boolean;

  /** @param hidden returns whether a task belongs to the service itself, and is not shown. */
  constructor(hidden: (task: Task<unknown>) => boolean = () => false) {
    this.#hidden = hidden;
  }

  snapshot(): TaskForest {
    const tasks = [...allTasks(getEventLoop())].filter((task) => !this.#hidden(task));
    const known = new Set(tasks);
    const children = new Map<Task<unknown>, Task<unknown>[]>();
    const roots: Task<unknown>[] = [];
    for (const task of tasks) {
      const parents = (captureCallGraph(task)?.awaitedBy ?? [])
        .map((each) => each.task)
        .filter((parent) => known.has(parent) && parent !== task);
      if (parents.length === 0) roots.push(task);
      for (const parent of parents) {
        const siblings = children.get(parent);
        if (siblings === undefined) children.set(parent, [task]);
        else siblings.push(task);
      }
    }
    // Tasks that wait for each other have no root among them, so the second list starts at any of them.
    const budget: Budget = { tasks: MAX_TASKS, characters: MAX_CHARACTERS };
    const shown = new Set<Task<unknown>>();
    const nodes: TaskNode[] = [];
    for (const task of [...roots, ...tasks]) {
      if (isSpent(budget)) break;
      if (!shown.has(task)) nodes.push(this.#node(task, children, shown, budget));
    }
    return { roots: nodes, total: tasks.length };
  }

  #node(
    task: Task<unknown>,
    children: ReadonlyMap<Task<unknown>, readonly Task<unknown>[]>,
    shown: Set<Task<unknown>>,
    budget: Budget,
  ): TaskNode {
    shown.add(task);
    budget.tasks--;
    const waits = captureWaits(task);
    const waitsFor =
      waits.length === 0 ? undefined : short(waits.map(({ description }) => description).join(" and "));
    const stack = task.getStack().map((line) => short(line.trim()));
    const name = short(task.getName());
    for (const text of [name, waitsFor ?? "", ...stack]) budget.characters -= text.length;
    const nodes: TaskNode[] = [];
    for (const child of children.get(task) ?? []) {
      if (!isSpent(budget) && !shown.has(child)) nodes.push(this.#node(child, children, shown, budget));
    }
    return {
      name,
      state: task.done() ? "finished" : task.cancelling() > 0 ? "cancelling" : "pending",
      stack,
      waitsFor,
      since: this.#since(
        task,
        waits.map(({ on }) => on),
      ),
      children: nodes,
    };
  }

  /** Compares objects and not texts: each round of a loop has a new sleep with the same text. */
  #since(task: Task<unknown>, waits: readonly (object | null)[]): number | undefined {
    const on = waits.filter((each) => each !== null);
    if (on.length < waits.length || on.length === 0) return undefined;
    const now = getEventLoop().time();
    const before = this.#waits.get(task);
    if (before?.on.length === on.length && on.every((each) => before.on.includes(each)))
      return Math.round(now - before.since);
    this.#waits.set(task, { on, since: now });
    return 0;
  }
}

/** The tasks and characters that still fit into a snapshot. */
interface Budget {
  tasks: number;
  characters: number;
}

function isSpent({ tasks, characters }: Budget): boolean {
  return tasks <= 0 || characters <= 0;
}

function short(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 3)}...`;
}

/** Returns a forest as lines of text, one branch for each task. */
export function formatForest(
  { roots, total }: TaskForest,
  label: (node: TaskNode) => string | undefined,
): string[] {
  const lines: string[] = [];
  let shown = 0;
  const add = (node: TaskNode, lead: string, branch: string, next: string): void => {
    shown++;
    const name = label(node) ?? node.name;
    const waits = node.waitsFor === undefined ? node.state : `waits for ${node.waitsFor}`;
    const since = node.since === undefined ? "" : `, ${duration(node.since)} or more`;
    lines.push(`${lead}${branch}${name}  ${waits}${since}`);
    const where = node.stack.at(-1);
    if (where !== undefined) lines.push(`${lead}${next}${node.children.length > 0 ? "│  " : "   "}${where}`);
    for (const [index, child] of node.children.entries()) {
      const last = index === node.children.length - 1;
      add(child, lead + next, last ? "└─ " : "├─ ", last ? "   " : "│  ");
    }
  };
  for (const root of roots) add(root, "", "", "");
  if (total > shown) lines.push(`and ${total - shown} more`);
  return lines;
}
