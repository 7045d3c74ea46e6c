import {
  asCompleted,
  CancelledError,
  coroutine,
  currentTask,
  Future,
  gather,
  shield,
  sleep,
  taskGroup,
  timeout,
  timeoutAt,
  wait,
  waitFor,
} from "@taskloom/loop";
import type {
  Awaitable,
  Barrier,
  Condition,
  Coroutine,
  Event,
  Lock,
  Queue,
  Startable,
  TimeoutScope,
} from "@taskloom/loop";

import type { AsyncStep, Block, Statement, SyncStep } from "./program.ts";
import { syncOperations } from "./sync-steps.ts";
import { cancelledError, catches, Return } from "./values.ts";
import { limit, longest } from "./world.ts";
import type { Anything, Node, World } from "./world.ts";

export type Outcome = Return | undefined;
type Work<T> = Generator<never, T, unknown>;

const callFunction = coroutine(function* (steps: Steps, number: number, parent?: Node): Work<unknown> {
  return yield* steps.callFunction(number, parent);
});
const runMain = coroutine(function* (steps: Steps): Work<unknown> {
  const out = yield* steps.block(steps.world.program.main);
  return out?.value;
});

/**
 * Statements that may suspend. This text is the generator spelling. `spellings.ts` makes the other spellings
 * of it: generators become `async` functions, and those become coroutines. No member may therefore be
 * private.
 */
export class Steps {
  readonly world: World;
  /** Whether functions of the program are called and started directly, without a coroutine around them. */
  readonly isPlain: boolean = false;

  constructor(world: World) {
    this.world = world;
  }

  /** Main, as the work of a task. */
  main(): Startable<unknown> {
    return runMain(this);
  }

  /** A function as the work of a task. Unless it `isOnce`, a list may mention it twice. */
  start(number: number, parent: Node | undefined, isOnce: boolean): Startable<unknown> {
    return this.isPlain && isOnce
      ? () => this.callFunction(number, parent)
      : this.coroutineOf(number, parent);
  }

  /** A function as a coroutine, which any spelling can await. */
  coroutineOf(number: number, parent?: Node): Coroutine<unknown> {
    return callFunction(this, number, parent);
  }

  /** A function as an awaitable; the other function may be in another spelling. */
  call(number: number): Awaitable<unknown> {
    const steps = this.world.steps[number]!;
    return this.isPlain && steps === this ? this.callFunction(number) : steps.coroutineOf(number);
  }

  *callFunction(number: number, parent?: Node): Work<unknown> {
    const task = currentTask()!;
    if (!this.world.writer.knows(task)) this.world.register("task", task);
    if (parent) this.world.edgesOf(parent).push(task);
    this.world.log(this.world.who(), `f${number}`, "begins");
    if (this.world.trace.length > longest || this.world.lists.task.length > limit) {
      this.world.log(this.world.who(), `f${number}`, "limit");
      return undefined;
    }
    const out = yield* this.block(this.world.program.functions[number]!);
    this.world.log(this.world.who(), `f${number}`, "ends");
    return out?.value;
  }

  *block(body: Block): Work<Outcome> {
    for (const statement of body) {
      // The call is inlined here: awaiting a method would let other functions run, and statements that cannot
      // suspend do not.
      if (syncOperations.has(statement.op)) {
        this.world.sync(statement as Statement & SyncStep);
        continue;
      }
      const out = yield* this.statement(statement as Statement & AsyncStep);
      if (out) return out;
    }
    return undefined;
  }

  *statement(s: Statement & AsyncStep): Work<Outcome> {
    let out: unknown;
    try {
      out = yield* this.asynchronous(s);
    } catch (error) {
      this.world.log(this.world.who(), s.n, `!${this.world.writer.error(error)}`);
      throw error;
    }
    if (out instanceof Return) {
      this.world.log(this.world.who(), s.n, "returns");
      return out;
    }
    this.world.log(this.world.who(), s.n, `=${this.world.writer.value(out)}`);
    return undefined;
  }

  *asynchronous(s: Statement & AsyncStep): Work<unknown> {
    switch (s.op) {
      case "sleep":
        // Python's default is None; without a result, ours is a sleep of another kind.
        return yield* s.value === null ? sleep(s.time) : sleep(s.time, s.value);
      case "return":
        return new Return(s.value);
      case "raiseCancelled":
        throw cancelledError(s.message);
      case "call":
        return yield* this.call(s.fn) as Coroutine<unknown>;
      case "await": {
        const target = this.world.resolve(s.ref);
        if (!target) return "none";
        if (this.world.circular([target])) return "circular";
        return yield* this.awaiting([target], target);
      }
      case "gather": {
        if (this.world.full) return "limit";
        const parent: Node = { parent: true };
        if (this.world.circular(this.world.items(s.items.filter((item) => "ref" in item)))) return "circular";
        const items = this.world.items(s.items, parent);
        const children = this.world.edgesOf(parent);
        children.push(...items.filter((each) => each instanceof Future));
        const outer = gather(items, { returnExceptions: s.returnExceptions });
        this.world.edges.set(outer, children);
        return yield* this.awaiting([outer], outer);
      }
      case "wait": {
        const refs = s.refs.map((ref) => this.world.resolve(ref)).filter((each) => each !== undefined);
        const { done, pending } = yield* wait(refs, { timeout: s.timeout, returnWhen: s.returnWhen });
        return [[...done], [...pending]];
      }
      case "waitFor": {
        if (this.world.full) return "limit";
        const item = this.world.item(s.item);
        if (!item) return "none";
        if (this.world.circular([item])) return "circular";
        return yield* this.awaiting(item instanceof Future ? [item] : [], waitFor(item, s.timeout));
      }
      case "shield": {
        if (this.world.full) return "limit";
        const item = this.world.item(s.item);
        if (!item) return "none";
        if (this.world.circular([item])) return "circular";
        return yield* shield(item);
      }
      case "asCompleted":
        return yield* this.asCompleted(s);
      case "timeout":
      case "timeoutAt":
        return yield* this.timeout(s);
      case "group": {
        return yield* taskGroup((group) => {
          this.world.groups.push(group);
          return this.block(s.body);
        });
      }
      case "try":
        return yield* this.try(s);
      case "repeat": {
        for (let i = 0; i < s.times; i++) {
          const out = yield* this.block(s.body);
          if (out) return out;
        }
        return undefined;
      }
      case "acquire":
        return yield* this.world.object<Lock>(s).acquire();
      case "with":
        return yield* this.world.object<Lock>(s).with(() => this.block(s.body));
      case "waitEvent":
      case "waitCondition":
        return yield* this.world.object<Event | Condition>(s).wait();
      case "waitPredicate":
        return yield* this.world.object<Condition>(s).waitFor(() => this.world.counter >= s.atLeast);
      case "waitBarrier":
        return yield* this.world.object<Barrier>(s).wait();
      case "resetBarrier":
        return yield* this.world.object<Barrier>(s).reset();
      case "abortBarrier":
        return yield* this.world.object<Barrier>(s).abort();
      case "get":
        return yield* this.world.object<Queue<number>>(s).get();
      case "put":
        return yield* this.world.object<Queue<number>>(s).put(s.value);
      case "join":
        return yield* this.world.object<Queue<number>>(s).join();
    }
  }

  *timeout(s: Statement & { op: "timeout" | "timeoutAt"; time: number | null; body: Block }): Work<Outcome> {
    let scope: TimeoutScope | undefined;
    try {
      return yield* (s.op === "timeout" ? timeout : timeoutAt)(s.time, (entered) => {
        scope = entered;
        this.world.scopes.push(entered);
        return this.block(s.body);
      });
    } finally {
      this.world.log(
        this.world.who(),
        s.n,
        `scope ${this.world.writer.value([scope!.when(), scope!.expired()])}`,
      );
    }
  }

  *asCompleted(s: Statement & AsyncStep & { op: "asCompleted" }): Work<unknown> {
    if (this.world.full) return "limit";
    let left = s.take;
    const completed = asCompleted(this.world.items(s.items), { timeout: s.timeout });
    if (s.style === "iterator") {
      for (const each of completed) {
        let out: unknown;
        try {
          out = yield* each;
        } catch (error) {
          if (error instanceof CancelledError) throw error;
          out = error;
        }
        this.world.log(this.world.who(), s.n, `item ${this.world.writer.value(out)}`);
        if (--left === 0) break;
      }
      return undefined;
    }
    const iterator = completed[Symbol.asyncIterator]();
    for (;;) {
      const step = yield* iterator.next();
      if (step.done) return undefined;
      const each = step.value;
      this.world.log(
        this.world.who(),
        s.n,
        `item ${this.world.writer.label(each)} ${this.world.writer.value([each.done(), each.cancelled()])}`,
      );
      if (--left === 0) return undefined;
    }
  }

  *try(s: AsyncStep & { op: "try" }): Work<Outcome> {
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

  /** Awaits, and records for the other tasks what this task waits for. */
  *awaiting(awaited: Anything[], awaitable: Awaitable<unknown>): Work<unknown> {
    const edges = this.world.edgesOf(currentTask()!);
    edges.push(...awaited);
    try {
      return yield* awaitable as Future<unknown>;
    } finally {
      for (const each of awaited) edges.splice(edges.indexOf(each), 1);
    }
  }
}
