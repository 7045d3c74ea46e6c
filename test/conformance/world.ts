import {
  Barrier,
  BoundedSemaphore,
  Condition,
  currentTask,
  Event,
  Future,
  LifoQueue,
  Lock,
  PriorityQueue,
  Queue,
  Semaphore,
  sleep,
} from "@taskloom/loop";
import type { Awaitable, EventLoop, Handle, Startable, TaskGroup, TimeoutScope } from "@taskloom/loop";

import type { Item, ObjectSpec, Program, RawStep, Reference, Statement, SyncStep } from "./program.ts";
import type { Steps } from "./steps.ts";
import { syncStep } from "./sync-steps.ts";
import { Writer } from "./values.ts";

/** The same limits as in reference.py. */
export const horizon = 40;
export const limit = 40;
export const longest = 2000;

export type Anything = Future<unknown> | Startable<unknown>;
type Listed = "task" | "future" | "outer" | "any";
/** A node of the graph of waits. Children of a gather that is not made yet are stored under a key. */
export type Node = Future<unknown> | { readonly parent: true };

const letters = { task: "T", future: "F", outer: "O" } as const;

/** The state of a running program: its objects, everything that it has created, and its trace. */
export class World {
  readonly program: Program;
  readonly loop: EventLoop;
  readonly trace: string[] = [];
  readonly writer = new Writer();
  /** The interpreter of each function in the function's spelling; the last is main's. */
  readonly steps: readonly Steps[];
  firstIteration = 0;
  objects: unknown[] = [];
  counter = 0;
  readonly lists: Record<Listed, Future<unknown>[]> = { task: [], future: [], outer: [], any: [] };
  readonly edges = new Map<Node, Anything[]>();
  readonly scopes: TimeoutScope[] = [];
  readonly groups: TaskGroup[] = [];
  readonly handles: Handle[] = [];
  readonly callbacks: ((...args: unknown[]) => void)[];

  constructor(program: Program, loop: EventLoop, interpreters: readonly (new (world: World) => Steps)[]) {
    this.program = program;
    this.loop = loop;
    const made = new Map(interpreters.map((Interpreter) => [Interpreter, new Interpreter(this)]));
    this.steps = interpreters.map((Interpreter) => made.get(Interpreter)!);
    this.callbacks = program.callbacks.map((body, number) => (...args: unknown[]) => {
      this.log(this.who(), `c${number}`, `called ${this.writer.value(args)}`);
      if (this.trace.length > longest) return;
      for (const statement of body) this.sync(statement as Statement & SyncStep);
    });
    loop.setExceptionHandler((_loop, context) => {
      if (/never retrieved|destroyed/.test(context.message)) return;
      const kind = context.message.startsWith("Exception in callback") ? "callback" : context.message;
      this.log("-", "handler", `${kind} ${this.writer.error(context.exception)}`);
    });
  }

  start(number: number, parent?: Node, isOnce = true): Startable<unknown> {
    return this.steps[number]!.start(number, parent, isOnce);
  }

  /** Runs a statement that cannot suspend. Only `raise`, `result` and `exception` let an error through. */
  sync(s: Statement & SyncStep): void {
    let out: unknown;
    try {
      out = syncStep(this, s);
    } catch (error) {
      this.log(this.who(), s.n, `!${this.writer.error(error)}`);
      if (s.op === "raise" || s.op === "result" || s.op === "exception") throw error;
      return;
    }
    this.log(this.who(), s.n, `=${this.writer.value(out)}`);
  }

  /** Whether waiting for these objects would make this task wait for itself; see reference.py. */
  circular(awaited: Anything[]): boolean {
    const me = currentTask();
    const seen = new Set<unknown>();
    const stack = [...awaited];
    while (stack.length > 0) {
      const node = stack.pop()!;
      if (node === me) return true;
      if (!(node instanceof Future) || seen.has(node)) continue;
      seen.add(node);
      stack.push(...(this.edges.get(node) ?? []));
    }
    return false;
  }

  edgesOf(node: Node): Anything[] {
    let edges = this.edges.get(node);
    if (!edges) this.edges.set(node, (edges = []));
    return edges;
  }

  get full(): boolean {
    return this.lists.task.length >= limit;
  }

  register<T>(kind: Exclude<Listed, "any">, future: Future<T>): Future<T> {
    this.writer.name(future, letters[kind] + this.lists[kind].length);
    this.lists[kind].push(future);
    this.lists.any.push(future);
    return future;
  }

  resolve([kind, number]: Reference): Future<unknown> | undefined {
    return kind === "self" ? currentTask()! : at(this.lists[kind], number);
  }

  plainFuture(ref: Reference): Future<unknown> | undefined {
    const target = this.resolve(ref);
    return target && this.writer.label(target).startsWith("F") ? target : undefined;
  }

  item(item: Item, items: Anything[] = [], parent?: Node, isOnce = true): Anything | undefined {
    if ("ref" in item) return this.resolve(item.ref);
    if ("same" in item) return items[item.same];
    if ("raw" in item) return this.raw(item.raw);
    return this.start(item.fn, parent, isOnce);
  }

  raw(step: RawStep): Awaitable<unknown> {
    switch (step.op) {
      case "sleep":
        return step.value === null ? sleep(step.time) : sleep(step.time, step.value);
      case "acquire":
        return this.object<Lock>(step).acquire();
      case "waitEvent":
      case "waitCondition":
        return this.object<Event | Condition>(step).wait();
      case "waitBarrier":
        return this.object<Barrier>(step).wait();
      case "get":
        return this.object<Queue<number>>(step).get();
      case "put":
        return this.object<Queue<number>>(step).put(step.value);
      case "join":
        return this.object<Queue<number>>(step).join();
    }
  }

  items(items: readonly Item[], parent?: Node): Anything[] {
    const out: Anything[] = [];
    for (const [index, item] of items.entries()) {
      const isOnce = !items.some((each) => "same" in each && each.same === index);
      let known = item;
      while ("same" in known) known = items[known.same]!;
      // All sleep(0) are one object, but each of them is work of its own.
      const isPause = "raw" in known && known.raw.op === "sleep" && known.raw.time <= 0;
      out.push(this.item(isPause ? known : item, out, parent, isOnce)!);
    }
    return out.filter((each) => each !== undefined);
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the statement knows what it names
  object<T>(s: { readonly object: number }): T {
    return this.objects[s.object] as T;
  }

  makeObject(spec: ObjectSpec): unknown {
    switch (spec.kind) {
      case "lock":
        return new Lock();
      case "event":
        return new Event();
      case "semaphore":
        return new Semaphore(spec.value);
      case "bounded":
        return new BoundedSemaphore(spec.value);
      case "condition":
        return spec.lock === undefined ? new Condition() : new Condition(this.objects[spec.lock] as Lock);
      case "barrier":
        return new Barrier(spec.parties);
      case "fifo":
        return new Queue(spec.maxsize);
      case "lifo":
        return new LifoQueue(spec.maxsize);
      case "priority":
        return new PriorityQueue(spec.maxsize);
    }
  }

  objectState(thing: unknown): unknown {
    if (thing instanceof Queue) return [thing.qsize(), thing.empty(), thing.full()];
    if (thing instanceof Event) return thing.isSet();
    if (thing instanceof Barrier) return [thing.nWaiting, thing.broken];
    return (thing as Lock).locked();
  }

  log(who: string, number: number | string, text: string): void {
    const iteration = this.loop._iterations - this.firstIteration;
    this.trace.push(`${this.loop.time()} ${iteration} ${who} ${number} ${text}`);
  }

  who(): string {
    const task = currentTask();
    return task ? `${this.writer.knows(task) ? this.writer.label(task) : "M"}~${task.cancelling()}` : "-";
  }
}

/** Python's `list[k % len(list)]`, or undefined for an empty list. */
export function at<T>(list: readonly T[], number: number): T | undefined {
  return list.length === 0 ? undefined : list[((number % list.length) + list.length) % list.length];
}

/** Returns the result of `act` for the target, if there is a target. */
export function orNone<T>(target: T | undefined, use: (target: T) => unknown): unknown {
  return target === undefined ? "none" : use(target);
}
