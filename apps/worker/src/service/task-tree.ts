import { allTasks, captureCallGraph, captureWaits, getEventLoop } from "@taskloom/loop";
import type { Task } from "@taskloom/loop";

/** A live task, where it stands, and the tasks that it waits for. */
export interface TaskNode {
  readonly name: string;
  readonly state: string;
  /** One line a coroutine, outermost first. */
  readonly stack: readonly string[];
  /** The awaited objects as text; undefined when it is ready to run. */
  readonly waitsFor: string | undefined;
  /**
   * Milliseconds for which every look has found it waiting for the same object; undefined where looks cannot tell: a
   * promise that is not Taskloom's has no identity that could be asked for.
   */
  readonly since: number | undefined;
  readonly children: readonly TaskNode[];
}

/** The tasks of a process at one moment. */
export interface TaskForest {
  readonly roots: readonly TaskNode[];
  /** How many tasks there are, shown or not. */
  readonly total: number;
}

/** How many tasks a forest shows: what a person can look through, and a worker can tell every second. */
const shownAtMost = 200;
/** How much text it has in all, and how long each text is; characters. A program can name its tasks as it likes. */
const textAtMost = 65_536;
const longestText = 200;

/** Looks at a process's tasks again and again, and so knows how long each has stood where it is. */
export class TaskWatch {
  readonly #waits = new WeakMap<Task<unknown>, { readonly on: readonly object[]; readonly since: number }>();
  readonly #hidden: (task: Task<unknown>) => boolean;

  /** @param hidden tells tasks that belong to the service itself, and are not shown. */
  constructor(hidden: (task: Task<unknown>) => boolean = () => false) {
    this.#hidden = hidden;
  }

  look(): TaskForest {
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
    // Tasks that wait for each other have no root among them; shown from one of them, they are still found.
    const budget: Budget = { left: shownAtMost, text: textAtMost };
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
    budget.left--;
    const waits = captureWaits(task);
    const waitsFor =
      waits.length === 0 ? undefined : short(waits.map(({ description }) => description).join(" and "));
    const stack = task.getStack().map((line) => short(line.trim()));
    const name = short(task.getName());
    for (const text of [name, waitsFor ?? "", ...stack]) budget.text -= text.length;
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

  /** Objects and not texts are compared: each round of a loop sleeps anew, though it prints the same. */
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

/** The tasks and the text that a forest may still show. */
interface Budget {
  left: number;
  text: number;
}

function isSpent({ left, text }: Budget): boolean {
  return left <= 0 || text <= 0;
}

function short(text: string): string {
  return text.length <= longestText ? text : `${text.slice(0, longestText - 3)}...`;
}

/** A forest as lines of text, a branch a task. */
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

/** A length of time as people say it. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 120_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  if (milliseconds < 7_200_000) return `${Math.round(milliseconds / 60_000)} min`;
  return `${(milliseconds / 3_600_000).toFixed(1)} h`;
}
