import {
  type Awaitable,
  allTasks,
  ArgumentError,
  asCompleted,
  Barrier,
  BoundedSemaphore,
  BrokenBarrierError,
  CancelledError,
  Condition,
  coroutine,
  currentTask,
  Event,
  EventLoop,
  Future,
  gather,
  type Handle,
  InvalidStateError,
  LifoQueue,
  Lock,
  PriorityQueue,
  Queue,
  QueueEmpty,
  QueueFull,
  QueueShutDown,
  Semaphore,
  shield,
  sleep,
  Task,
  type TaskGroup,
  taskGroup,
  timeout,
  timeoutAt,
  type TimeoutScope,
  TimeoutError,
  UsageError,
  wait,
  waitFor,
} from "@taskloom/loop";
import { virtualClock } from "@taskloom/loop/testing";

import { UNSEEN } from "../../packages/loop/src/task/future-core.ts";
import type {
  AsyncStep,
  Block,
  Catch,
  Item,
  ObjectSpec,
  Program,
  RawStep,
  Reference,
  Statement,
  SyncStep,
} from "./program.ts";

/** The same numbers as in reference.py. */
const horizon = 40;
const limit = 40;
const longest = 2000;

/** Runs a program on `@taskloom/loop` in virtual time: the lines of what happened. */
export async function interpret(program: Program): Promise<string[]> {
  const loop = new EventLoop({ clock: virtualClock() });
  const run = new Run(program, loop);
  try {
    await loop.runUntilComplete(drive(run));
  } finally {
    // What a program leaves pending stays so: ending it would run clean-up that is no part of it.
    loop.stop();
  }
  return run.trace;
}

class Boom extends Error {
  override name = "Boom";
}

class Return {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

type Outcome = Return | undefined;
type Steps<T> = Generator<never, T, unknown>;
type Anything = Future<unknown> | Awaitable<unknown>;
type Listed = "task" | "future" | "outer" | "any";
/** Who waits for whom: children of a gather that has not been made yet are kept under a key. */
type Node = Future<unknown> | { readonly parent: true };

const letters = { task: "T", future: "F", outer: "O" } as const;

const syncOperations: ReadonlySet<string> = new Set<SyncStep["op"]>([
  "spawn",
  "spawnRaw",
  "groupSpawn",
  "cancel",
  "uncancel",
  "cancelling",
  "state",
  "result",
  "exception",
  "future",
  "setResult",
  "setException",
  "setCancelled",
  "addDone",
  "removeDone",
  "callSoon",
  "callLater",
  "callAt",
  "cancelHandle",
  "storeGather",
  "storeShield",
  "reschedule",
  "scope",
  "ticker",
  "bump",
  "allTasks",
  "raise",
  "release",
  "locked",
  "set",
  "clear",
  "notifyAll",
  "objectState",
  "getNowait",
  "taskDone",
  "notify",
  "putNowait",
  "shutdown",
]);

const callFunction = coroutine(function* (run: Run, number: number, parent?: Node): Steps<unknown> {
  return yield* run.callFunction(number, parent);
});
const runMain = coroutine(function* (run: Run): Steps<unknown> {
  const out = yield* run.block(run.program.main);
  return out?.value;
});
const drive = coroutine(function* (run: Run): Steps<void> {
  yield* run.drive();
});

class Run {
  readonly program: Program;
  readonly loop: EventLoop;
  readonly trace: string[] = [];
  #firstIteration = 0;
  #objects: unknown[] = [];
  #counter = 0;
  readonly #labels = new Map<unknown, string>();
  readonly #lists: Record<Listed, Future<unknown>[]> = { task: [], future: [], outer: [], any: [] };
  readonly #edges = new Map<Node, Anything[]>();
  readonly #scopes: TimeoutScope[] = [];
  readonly #groups: TaskGroup[] = [];
  readonly #handles: Handle[] = [];
  readonly #errors = new Map<unknown, number>();
  readonly #callbacks: ((...args: unknown[]) => void)[];

  constructor(program: Program, loop: EventLoop) {
    this.program = program;
    this.loop = loop;
    this.#callbacks = program.callbacks.map((body, number) => (...args: unknown[]) => {
      this.#log(this.#who(), `c${number}`, `called ${this.#value(args)}`);
      if (this.trace.length > longest) return;
      for (const statement of body) this.#sync(statement as Statement & SyncStep);
    });
    loop.setExceptionHandler((_loop, context) => {
      if (/never retrieved|destroyed/.test(context.message)) return;
      const kind = context.message.startsWith("Exception in callback") ? "callback" : context.message;
      this.#log("-", "handler", `${kind} ${this.#error(context.exception)}`);
    });
  }

  /** Runs the program to its horizon, then cancels, several times, what is left. */
  *drive(): Steps<void> {
    this.#firstIteration = this.loop._iterations;
    for (const spec of this.program.objects) this.#objects.push(this.#makeObject(spec));
    const first = this.#register("task", this.loop.createTask(runMain(this)));
    yield* wait([first], { timeout: horizon });
    yield* sleep(horizon - this.loop.time());
    for (let round = 0; round < 12; round++) {
      const left = this.#lists.any.filter((each) => !each.done());
      if (left.length === 0) break;
      this.#log("M", "end", `cancels ${this.#value(left)}`);
      for (const each of left) each.cancel("end");
      yield* sleep(10);
    }
    for (const each of this.#lists.any) this.#log("M", "end", `${this.#label(each)} ${this.#final(each)}`);
  }

  *callFunction(number: number, parent?: Node): Steps<unknown> {
    const task = currentTask()!;
    if (!this.#labels.has(task)) this.#register("task", task);
    if (parent) this.#edgesOf(parent).push(task);
    this.#log(this.#who(), `f${number}`, "begins");
    if (this.trace.length > longest || this.#lists.task.length > limit) {
      this.#log(this.#who(), `f${number}`, "limit");
      return undefined;
    }
    const out = yield* this.block(this.program.functions[number]!);
    this.#log(this.#who(), `f${number}`, "ends");
    return out?.value;
  }

  *block(body: Block): Steps<Outcome> {
    for (const statement of body) {
      const out = yield* this.#statement(statement);
      if (out) return out;
    }
    return undefined;
  }

  *#statement(s: Statement): Steps<Outcome> {
    if (syncOperations.has(s.op)) {
      this.#sync(s as Statement & SyncStep);
      return undefined;
    }
    let out: unknown;
    try {
      out = yield* this.#async(s as Statement & AsyncStep);
    } catch (error) {
      this.#log(this.#who(), s.n, `!${this.#error(error)}`);
      throw error;
    }
    if (out instanceof Return) {
      this.#log(this.#who(), s.n, "returns");
      return out;
    }
    this.#log(this.#who(), s.n, `=${this.#value(out)}`);
    return undefined;
  }

  /** A statement that cannot suspend; only `raise`, `result` and `exception` let an error through. */
  #sync(s: Statement & SyncStep): void {
    let out: unknown;
    try {
      out = this.#step(s);
    } catch (error) {
      this.#log(this.#who(), s.n, `!${this.#error(error)}`);
      if (s.op === "raise" || s.op === "result" || s.op === "exception") throw error;
      return;
    }
    this.#log(this.#who(), s.n, `=${this.#value(out)}`);
  }

  #step(s: SyncStep): unknown {
    switch (s.op) {
      case "spawn":
        return this.#full ? "limit" : this.#register("task", this.loop.createTask(callFunction(this, s.fn)));
      case "spawnRaw":
        return this.#full ? "limit" : this.#register("task", this.loop.createTask(this.#raw(s.raw)));
      case "groupSpawn": {
        const group = at(this.#groups, s.group);
        return this.#full || !group
          ? "none"
          : this.#register("task", group.createTask(callFunction(this, s.fn)));
      }
      case "cancel": {
        const target = this.#resolve(s.ref);
        if (!target) return "none";
        return s.message === null ? target.cancel() : target.cancel(s.message);
      }
      case "uncancel": {
        const target = this.#resolve(s.ref);
        return target instanceof Task ? target.uncancel() : "none";
      }
      case "cancelling": {
        const target = this.#resolve(s.ref);
        return target instanceof Task ? target.cancelling() : "none";
      }
      case "state": {
        const target = this.#resolve(s.ref);
        return target ? [target, target.done(), target.cancelled(), isUnseen(target)] : "none";
      }
      case "result":
        return orNone(this.#resolve(s.ref), (target) => target.result());
      case "exception":
        return orNone(this.#resolve(s.ref), (target) => target.exception());
      case "future":
        return this.#register("future", this.loop.createFuture());
      case "setResult":
        return orNone(this.#plainFuture(s.ref), (target) => target.setResult(s.value));
      case "setException":
        return orNone(this.#plainFuture(s.ref), (target) => target.setException(new Boom(s.message)));
      case "setCancelled":
        return orNone(this.#plainFuture(s.ref), (target) => target.setException(cancelledError(s.message)));
      case "addDone":
        return orNone(this.#resolve(s.ref), (target) => {
          target.addDoneCallback(this.#callbacks[s.callback]!);
        });
      case "removeDone":
        return orNone(this.#resolve(s.ref), (target) =>
          target.removeDoneCallback(this.#callbacks[s.callback]!),
        );
      case "callSoon":
        this.#handles.push(this.loop.callSoon(this.#callbacks[s.callback]!));
        return undefined;
      case "callLater":
        this.#handles.push(this.loop.callLater(s.time, this.#callbacks[s.callback]!));
        return undefined;
      case "callAt":
        this.#handles.push(this.loop.callAt(s.time, this.#callbacks[s.callback]!));
        return undefined;
      case "cancelHandle":
        return orNone(at(this.#handles, s.handle), (handle) => {
          const before = handle.cancelled();
          handle.cancel();
          return [before, handle.cancelled()];
        });
      case "storeGather": {
        if (this.#full) return "limit";
        const parent: Node = { parent: true };
        const items = this.#items(s.items, parent);
        const outer = gather(items, { returnExceptions: s.returnExceptions });
        const children = [...this.#edgesOf(parent), ...items.filter((each) => each instanceof Future)];
        this.#edges.set(outer, children);
        // A child that has not started yet will say so under the name its parent had then.
        this.#edges.set(parent, children);
        return this.#register("outer", outer);
      }
      case "storeShield": {
        if (this.#full) return "limit";
        const item = this.#item(s.item);
        if (!item) return "none";
        const outer = shield(item);
        return this.#labels.has(outer) ? outer : this.#register("outer", outer);
      }
      case "reschedule":
        return orNone(at(this.#scopes, -1 - s.scope), (scope) => {
          scope.reschedule(s.time === null ? null : this.loop.time() + s.time);
          return [scope.when(), scope.expired()];
        });
      case "scope":
        return orNone(at(this.#scopes, -1 - s.scope), (scope) => [scope.when(), scope.expired()]);
      case "ticker": {
        const tick = (left: number): void => {
          this.#log("-", (s as Statement).n, `tick ${left}`);
          if (left > 0) this.loop.callSoon(tick, left - 1);
        };
        this.loop.callSoon(tick, s.count);
        return undefined;
      }
      case "bump":
        return ++this.#counter;
      case "allTasks": {
        const known = new Set<unknown>(allTasks(this.loop));
        return this.#lists.task.filter((task) => known.has(task));
      }
      case "raise":
        throw new Boom(s.message);
      case "release":
        return this.#object<Lock>(s).release();
      case "locked":
        return this.#object<Lock>(s).locked();
      case "set":
        return this.#object<Event>(s).set();
      case "clear":
        return this.#object<Event>(s).clear();
      case "notify":
        return this.#object<Condition>(s).notify(s.count);
      case "notifyAll":
        return this.#object<Condition>(s).notifyAll();
      case "objectState":
        return this.#objectState(this.#object<unknown>(s));
      case "getNowait":
        return this.#object<Queue<number>>(s).getNowait();
      case "putNowait":
        return this.#object<Queue<number>>(s).putNowait(s.value);
      case "taskDone":
        return this.#object<Queue<number>>(s).taskDone();
      case "shutdown":
        return this.#object<Queue<number>>(s).shutdown(s.immediate);
    }
  }

  *#async(s: Statement & AsyncStep): Steps<unknown> {
    switch (s.op) {
      case "sleep":
        // Python's default is None; ours is a sleep of another kind.
        return yield* s.value === null ? sleep(s.time) : sleep(s.time, s.value);
      case "return":
        return new Return(s.value);
      case "raiseCancelled":
        throw cancelledError(s.message);
      case "call":
        return yield* callFunction(this, s.fn);
      case "await": {
        const target = this.#resolve(s.ref);
        if (!target) return "none";
        if (this.#circular([target])) return "circular";
        return yield* this.#awaiting([target], target);
      }
      case "gather": {
        if (this.#full) return "limit";
        const parent: Node = { parent: true };
        if (this.#circular(this.#items(s.items.filter((item) => "ref" in item)))) return "circular";
        const items = this.#items(s.items, parent);
        const children = this.#edgesOf(parent);
        children.push(...items.filter((each) => each instanceof Future));
        const outer = gather(items, { returnExceptions: s.returnExceptions });
        this.#edges.set(outer, children);
        return yield* this.#awaiting([outer], outer);
      }
      case "wait": {
        const refs = s.refs.map((ref) => this.#resolve(ref)).filter((each) => each !== undefined);
        const { done, pending } = yield* wait(refs, { timeout: s.timeout, returnWhen: s.returnWhen });
        return [[...done], [...pending]];
      }
      case "waitFor": {
        if (this.#full) return "limit";
        const item = this.#item(s.item);
        if (!item) return "none";
        if (this.#circular([item])) return "circular";
        return yield* this.#awaiting(item instanceof Future ? [item] : [], waitFor(item, s.timeout));
      }
      case "shield": {
        if (this.#full) return "limit";
        const item = this.#item(s.item);
        if (!item) return "none";
        if (this.#circular([item])) return "circular";
        return yield* shield(item);
      }
      case "asCompleted":
        return yield* this.#asCompleted(s);
      case "timeout":
      case "timeoutAt":
        return yield* this.#timeout(s);
      case "group": {
        return yield* taskGroup((group) => {
          this.#groups.push(group);
          return this.block(s.body);
        });
      }
      case "try":
        return yield* this.#try(s);
      case "repeat": {
        for (let i = 0; i < s.times; i++) {
          const out = yield* this.block(s.body);
          if (out) return out;
        }
        return undefined;
      }
      case "acquire":
        return yield* this.#object<Lock>(s).acquire();
      case "with":
        return yield* this.#object<Lock>(s).with(() => this.block(s.body));
      case "waitEvent":
      case "waitCondition":
        return yield* this.#object<Event | Condition>(s).wait();
      case "waitPredicate":
        return yield* this.#object<Condition>(s).waitFor(() => this.#counter >= s.atLeast);
      case "waitBarrier":
        return yield* this.#object<Barrier>(s).wait();
      case "resetBarrier":
        return yield* this.#object<Barrier>(s).reset();
      case "abortBarrier":
        return yield* this.#object<Barrier>(s).abort();
      case "get":
        return yield* this.#object<Queue<number>>(s).get();
      case "put":
        return yield* this.#object<Queue<number>>(s).put(s.value);
      case "join":
        return yield* this.#object<Queue<number>>(s).join();
    }
  }

  *#timeout(
    s: Statement & { op: "timeout" | "timeoutAt"; time: number | null; body: Block },
  ): Steps<Outcome> {
    let scope: TimeoutScope | undefined;
    try {
      return yield* (s.op === "timeout" ? timeout : timeoutAt)(s.time, (entered) => {
        scope = entered;
        this.#scopes.push(entered);
        return this.block(s.body);
      });
    } finally {
      this.#log(this.#who(), s.n, `scope ${this.#value([scope!.when(), scope!.expired()])}`);
    }
  }

  *#asCompleted(s: Statement & AsyncStep & { op: "asCompleted" }): Steps<unknown> {
    if (this.#full) return "limit";
    let left = s.take;
    const completed = asCompleted(this.#items(s.items), { timeout: s.timeout });
    if (s.style === "iterator") {
      for (const each of completed) {
        let out: unknown;
        try {
          out = yield* each;
        } catch (error) {
          if (error instanceof CancelledError) throw error;
          out = error;
        }
        this.#log(this.#who(), s.n, `item ${this.#value(out)}`);
        if (--left === 0) break;
      }
      return undefined;
    }
    const iterator = completed[Symbol.asyncIterator]();
    for (;;) {
      const step = yield* iterator.next();
      if (step.done) return undefined;
      const each = step.value;
      this.#log(
        this.#who(),
        s.n,
        `item ${this.#label(each)} ${this.#value([each.done(), each.cancelled()])}`,
      );
      if (--left === 0) return undefined;
    }
  }

  *#try(s: AsyncStep & { op: "try" }): Steps<Outcome> {
    let out: Outcome;
    let failure: { error: unknown } | undefined;
    try {
      out = yield* this.block(s.body);
    } catch (error) {
      failure = { error };
    }
    if (failure && catches(s.catch, failure.error)) {
      const { error } = failure;
      failure = undefined;
      try {
        out = yield* this.block(s.handler);
        if (s.rethrow && !out) failure = { error };
      } catch (another) {
        failure = { error: another };
      }
    }
    const last = yield* this.block(s.finally);
    if (last) return last;
    if (failure) throw failure.error;
    return out;
  }

  /** Awaits, while the others know what this task waits for. */
  *#awaiting(awaited: Anything[], awaitable: Awaitable<unknown>): Steps<unknown> {
    const edges = this.#edgesOf(currentTask()!);
    edges.push(...awaited);
    try {
      return yield* awaitable as Future<unknown>;
    } finally {
      for (const each of awaited) edges.splice(edges.indexOf(each), 1);
    }
  }

  /** Whether waiting for these would make this task wait for itself; see reference.py. */
  #circular(awaited: Anything[]): boolean {
    const me = currentTask();
    const seen = new Set<unknown>();
    const stack = [...awaited];
    while (stack.length > 0) {
      const node = stack.pop()!;
      if (node === me) return true;
      if (!(node instanceof Future) || seen.has(node)) continue;
      seen.add(node);
      stack.push(...(this.#edges.get(node) ?? []));
    }
    return false;
  }

  #edgesOf(node: Node): Anything[] {
    let edges = this.#edges.get(node);
    if (!edges) this.#edges.set(node, (edges = []));
    return edges;
  }

  get #full(): boolean {
    return this.#lists.task.length >= limit;
  }

  #register<T>(kind: Exclude<Listed, "any">, future: Future<T>): Future<T> {
    this.#labels.set(future, letters[kind] + this.#lists[kind].length);
    this.#lists[kind].push(future);
    this.#lists.any.push(future);
    return future;
  }

  #resolve([kind, number]: Reference): Future<unknown> | undefined {
    return kind === "self" ? currentTask()! : at(this.#lists[kind], number);
  }

  #plainFuture(ref: Reference): Future<unknown> | undefined {
    const target = this.#resolve(ref);
    return target && this.#label(target).startsWith("F") ? target : undefined;
  }

  #item(item: Item, items: Anything[] = [], parent?: Node): Anything | undefined {
    if ("ref" in item) return this.#resolve(item.ref);
    if ("same" in item) return items[item.same];
    if ("raw" in item) return this.#raw(item.raw);
    return callFunction(this, item.fn, parent);
  }

  #raw(step: RawStep): Awaitable<unknown> {
    switch (step.op) {
      case "sleep":
        return step.value === null ? sleep(step.time) : sleep(step.time, step.value);
      case "acquire":
        return this.#object<Lock>(step).acquire();
      case "waitEvent":
      case "waitCondition":
        return this.#object<Event | Condition>(step).wait();
      case "waitBarrier":
        return this.#object<Barrier>(step).wait();
      case "get":
        return this.#object<Queue<number>>(step).get();
      case "put":
        return this.#object<Queue<number>>(step).put(step.value);
      case "join":
        return this.#object<Queue<number>>(step).join();
    }
  }

  #items(items: readonly Item[], parent?: Node): Anything[] {
    const out: Anything[] = [];
    for (const item of items) {
      let known = item;
      while ("same" in known) known = items[known.same]!;
      // All sleep(0) are one object, and each is work of its own.
      const isPause = "raw" in known && known.raw.op === "sleep" && known.raw.time <= 0;
      out.push(this.#item(isPause ? known : item, out, parent)!);
    }
    return out.filter((each) => each !== undefined);
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the statement knows what it names
  #object<T>(s: { readonly object: number }): T {
    return this.#objects[s.object] as T;
  }

  #makeObject(spec: ObjectSpec): unknown {
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
        return spec.lock === undefined ? new Condition() : new Condition(this.#objects[spec.lock] as Lock);
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

  #objectState(thing: unknown): unknown {
    if (thing instanceof Queue) return [thing.qsize(), thing.empty(), thing.full()];
    if (thing instanceof Event) return thing.isSet();
    if (thing instanceof Barrier) return [thing.nWaiting, thing.broken];
    return (thing as Lock).locked();
  }

  #log(who: string, number: number | string, text: string): void {
    const iteration = this.loop._iterations - this.#firstIteration;
    this.trace.push(`${this.loop.time()} ${iteration} ${who} ${number} ${text}`);
  }

  #who(): string {
    const task = currentTask();
    return task ? `${this.#labels.get(task) ?? "M"}~${task.cancelling()}` : "-";
  }

  #label(future: unknown): string {
    return this.#labels.get(future) ?? "?";
  }

  #identity(error: unknown): number {
    let known = this.#errors.get(error);
    if (known === undefined) this.#errors.set(error, (known = this.#errors.size));
    return known;
  }

  #error(error: unknown): string {
    const name =
      error instanceof AggregateError
        ? `Group[${error.errors.map((each) => this.#error(each)).join(", ")}]`
        : errorName(error);
    const identity = this.#identity(error);
    const cause = error instanceof TimeoutError && error.cause !== undefined;
    return `${name}#${identity}${cause ? ` from ${this.#error(error.cause)}` : ""}`;
  }

  #value(value: unknown): string {
    if (value === undefined || value === null) return "null";
    if (value instanceof Error) return this.#error(value);
    if (Array.isArray(value)) return `[${value.map((each) => this.#value(each)).join(", ")}]`;
    if (value instanceof Future) return this.#label(value);
    // Python's acquire gives True; ours gives what releases it.
    if (typeof value === "object" && "release" in value) return "true";
    return `${value as string | number | boolean}`;
  }

  #final(future: Future<unknown>): string {
    if (!future.done()) return "pending";
    const unseen = isUnseen(future) ? " unseen" : "";
    let error: unknown;
    try {
      error = future.exception();
    } catch (cancelled) {
      return `cancelled ${this.#error(cancelled)}`;
    }
    return error ? `!${this.#error(error)}${unseen}` : `=${this.#value(future.result())}`;
  }
}

/** Python's `list[k % len(list)]`, or undefined for an empty list. */
function at<T>(list: readonly T[], number: number): T | undefined {
  return list.length === 0 ? undefined : list[((number % list.length) + list.length) % list.length];
}

function orNone<T>(target: T | undefined, use: (target: T) => unknown): unknown {
  return target === undefined ? "none" : use(target);
}

/** Whether it failed and nobody has looked at the error: Python's `_log_traceback`. */
function isUnseen(future: Future<unknown>): boolean {
  return future._state === UNSEEN;
}

function cancelledError(message: string | null): CancelledError {
  return message === null ? new CancelledError() : new CancelledError(message);
}

function catches(kind: Catch | null, error: unknown): boolean {
  switch (kind) {
    case null:
      return false;
    case "all":
      return true;
    case "error":
      return !(error instanceof CancelledError);
    case "cancelled":
      return error instanceof CancelledError;
    case "timeout":
      return error instanceof TimeoutError;
    case "boom":
      return error instanceof Boom;
    case "group":
      return error instanceof AggregateError;
  }
}

/** Errors of the library itself are compared by kind: their wording is our own. */
function errorName(error: unknown): string {
  if (error instanceof CancelledError) return `Cancelled(${error.message})`;
  if (error instanceof Boom) return `Boom(${error.message})`;
  if (error instanceof TimeoutError) return "Timeout";
  if (error instanceof QueueEmpty) return "QueueEmpty";
  if (error instanceof QueueFull) return "QueueFull";
  if (error instanceof QueueShutDown) return "QueueShutDown";
  if (error instanceof BrokenBarrierError) return "BrokenBarrier";
  if (error instanceof UsageError || error instanceof ArgumentError || error instanceof InvalidStateError) {
    return `Usage(${usage(error.code, error.message)})`;
  }
  return String(error);
}

function usage(code: string, message: string): string {
  switch (code) {
    case "LOCK_NOT_HELD":
      return "not held";
    case "SEMAPHORE_OVER_RELEASED":
      return "over-released";
    case "TASK_DONE_TOO_OFTEN":
      return "task done too often";
    case "INVALID_ARGUMENT":
      return "argument";
    case "TASK_GROUP_CLOSED":
      return message.includes("finished") ? "group finished" : "group shutting down";
    case "TIMEOUT_STATE":
      return `timeout ${/state of (\w+)/.exec(message)?.[1]}`;
    case "INVALID_STATE":
      return "state";
    default:
      return `${code} ${message}`;
  }
}
