import type {
  Block,
  Catch,
  Item,
  ObjectSpec,
  Program,
  RawStep,
  Reference,
  ReturnWhen,
  Statement,
} from "./program.ts";
import { Random } from "./random.ts";

type Step = Statement extends infer S ? (S extends { n: number } ? Omit<S, "n"> : never) : never;
type ObjectKind = ObjectSpec["kind"];

/** Delays are few and small, so wake-ups, deadlines and cancels meet in the same iteration. */
const delays = [0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 0.5];

/**
 * Returns the program of a seed and an index, the same on every machine. Its main body consists of general
 * statements and of a few scenarios, each for one family of hand-offs.
 */
export function generate(seed: number, index: number): Program {
  return new Generator(new Random(seed, index)).program();
}

class Generator {
  readonly #random: Random;
  readonly #objects: ObjectSpec[] = [];
  readonly #functions: Block[] = [];
  readonly #callbacks: Block[] = [];
  #statements = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  program(): Program {
    const random = this.#random;
    // Leaves come first. A body mentions only earlier functions, so no program recurses.
    this.#makeFunction(() => [
      this.#sleep(random.pick(delays)),
      this.#step({ op: "return", value: random.below(100) }),
    ]);
    for (let i = random.below(3) + 1; i > 0; i--)
      this.#makeFunction(() => this.#body(1, random.below(3) + 1));
    if (random.chance(0.5)) this.#makeCallback();
    const main: Statement[] = [];
    for (let i = random.weighted([3, 4, 2]) + 1; i > 0; i--) main.push(...this.#scenario());
    if (random.chance(0.3)) main.push(...this.#body(2, 2));
    return { objects: this.#objects, functions: this.#functions, callbacks: this.#callbacks, main };
  }

  // ---- scenarios -------------------------------------------------------------------------------

  #scenario(): Block {
    const scenarios = [
      () => this.#waiters("lock"),
      () => this.#waiters(this.#random.pick(["semaphore", "bounded"])),
      () => this.#waiters("event"),
      () => this.#waiters("condition"),
      () => this.#waiters("condition"),
      () => this.#waiters("barrier"),
      () => this.#waiters("barrier"),
      () => this.#waiters(this.#random.pick(["fifo", "lifo", "priority"])),
      () => this.#waiters(this.#random.pick(["fifo", "lifo", "priority"])),
      () => this.#pipeline(),
      () => this.#futureWaiters(),
      () => this.#futureWaiters(),
      () => this.#deadlines(),
      () => this.#deadlines(),
      () => this.#groups(),
      () => this.#groups(),
      () => this.#selfCancel(),
      () => this.#crossing(),
      () => this.#crossing(),
      () => this.#crossing(),
      () => this.#composite(),
      () => this.#composite(),
      () => this.#composite(),
      () => this.#callbackDance(),
      () => this.#body(3, this.#random.below(5) + 2),
    ];
    return this.#random.pick(scenarios)();
  }

  /** Tasks queue up at one object; then bursts of wake-ups and cancels meet in one step. */
  #waiters(kind: ObjectKind): Block {
    const random = this.#random;
    const object = this.#object(kind);
    const out: Statement[] = [];
    const held = (kind === "lock" || kind === "semaphore" || kind === "bounded") && random.chance(0.8);
    if (held) out.push(this.#step({ op: "acquire", object }));
    const workers = [this.#waiter(object)];
    if (random.chance(0.4)) workers.push(this.#waiter(object));
    const crowd = random.below(4) + 2;
    const one = (): Reference =>
      random.chance(0.8) ? ["task", -1 - random.below(crowd)] : this.#taskReference();
    for (let i = 0; i < crowd; i++) out.push(this.#step({ op: "spawn", fn: random.pick(workers) }));
    if (random.chance(0.3)) out.push(this.#ticker());
    for (let round = random.below(3) + 1; round > 0; round--) {
      out.push(this.#sleep(random.pick([0, 0, 0, 1, 2])));
      for (let i = random.below(5) + 1; i > 0; i--) {
        const choice = random.weighted([5, 4, 1, 1, 1]);
        if (choice === 0) out.push(...this.#wake(object));
        else if (choice === 1) out.push(this.#cancel(one()));
        else if (choice === 2) {
          out.push(
            random.chance(0.6)
              ? this.#step({ op: "spawn", fn: random.pick(workers) })
              : this.#step({ op: "spawnRaw", raw: this.#raw() }),
          );
        } else if (choice === 3) out.push(this.#syncStep(0));
        else out.push(this.#step({ op: "objectState", object }));
      }
      if (random.chance(0.25)) out.push(this.#guarded(this.#use(object), 1));
    }
    if (random.chance(0.5)) out.push(this.#settle());
    return out;
  }

  /** One worker waits at an object, holds the result for a while and releases it. */
  #waiter(object: number): number {
    const random = this.#random;
    return this.#makeFunction(() => {
      let body: Statement[] = [...this.#use(object)];
      if (random.chance(0.3)) body.unshift(this.#sleep(random.pick([0, 1])));
      if (random.chance(0.3)) body.push(this.#sleep(random.pick([0, 1, 2])));
      if (random.chance(0.35)) body = [this.#guarded(body, 1)];
      if (random.chance(0.25)) body = [this.#deadline(body)];
      if (random.chance(0.3)) body.push(...this.#body(1, 1));
      if (random.chance(0.3)) body.push(this.#step({ op: "return", value: random.below(100) }));
      return body;
    });
  }

  /** The statements with which a task uses an object for its purpose. */
  #use(object: number): Block {
    const random = this.#random;
    const kind = this.#objects[object]!.kind;
    const hold = (): Block => (random.chance(0.7) ? [this.#sleep(random.pick(delays))] : this.#body(1, 1));
    switch (kind) {
      case "lock":
      case "semaphore":
      case "bounded":
        if (random.chance(0.6)) return [this.#step({ op: "with", object, body: hold() })];
        return [
          this.#step({ op: "acquire", object }),
          this.#try(hold(), null, [], false, [this.#step({ op: "release", object })]),
        ];
      case "event":
        return [this.#step({ op: "waitEvent", object })];
      case "condition": {
        const wait = random.chance(0.75)
          ? this.#step({ op: "waitCondition", object })
          : this.#step({ op: "waitPredicate", object, atLeast: random.below(3) + 1 });
        const body = random.chance(0.4) ? [wait, ...hold()] : [wait];
        if (random.chance(0.1)) return [wait];
        return [this.#step({ op: "with", object, body })];
      }
      case "barrier":
        return [this.#step({ op: "waitBarrier", object })];
      default: {
        if (random.chance(0.6)) {
          const out = [this.#step({ op: "get", object })];
          if (random.chance(0.5)) out.push(this.#step({ op: "taskDone", object }));
          return out;
        }
        if (random.chance(0.25)) return [this.#step({ op: "join", object })];
        return [this.#step({ op: "put", object, value: random.below(50) })];
      }
    }
  }

  /** The statements that wake waiters at an object, without a suspension where that is possible. */
  #wake(object: number): Block {
    const random = this.#random;
    const kind = this.#objects[object]!.kind;
    switch (kind) {
      case "lock":
      case "semaphore":
      case "bounded":
        return [this.#step({ op: "release", object })];
      case "event":
        return [this.#step({ op: random.chance(0.75) ? "set" : "clear", object })];
      case "condition": {
        const notify = random.chance(0.7)
          ? this.#step({ op: "notify", object, count: random.below(2) + 1 })
          : this.#step({ op: "notifyAll", object });
        const body = random.chance(0.4) ? [this.#step({ op: "bump" }), notify] : [notify];
        if (random.chance(0.4)) body.push(this.#cancel(this.#taskReference()));
        if (random.chance(0.2)) body.push(this.#sleep(random.pick([0, 1])));
        return random.chance(0.1) ? body : [this.#step({ op: "with", object, body })];
      }
      case "barrier": {
        const op = random.weighted([5, 3, 1]);
        if (op === 0) return [this.#step({ op: "spawn", fn: this.#waiter(object) })];
        return [this.#step({ op: op === 1 ? "resetBarrier" : "abortBarrier", object })];
      }
      default: {
        const op = random.weighted([4, 3, 2, 1]);
        if (op === 0) return [this.#step({ op: "putNowait", object, value: random.below(50) })];
        if (op === 1) return [this.#step({ op: "getNowait", object })];
        if (op === 2) return [this.#step({ op: "taskDone", object })];
        return [this.#step({ op: "shutdown", object, immediate: random.chance(0.5) })];
      }
    }
  }

  /** Producers and consumers on one queue, with `join` and `shutdown` in between. */
  #pipeline(): Block {
    const random = this.#random;
    const object = this.#object(random.pick(["fifo", "lifo", "priority"]));
    const consumer = this.#makeFunction(() => {
      const body: Statement[] = [this.#step({ op: "get", object })];
      if (random.chance(0.5)) body.push(this.#sleep(random.pick([0, 1])));
      body.push(this.#step({ op: "taskDone", object }));
      const repeated = this.#step({ op: "repeat", times: random.below(4) + 1, body });
      return random.chance(0.3) ? [this.#guarded([repeated], 1)] : [repeated];
    });
    const producer = this.#makeFunction(() => {
      const body: Statement[] = [this.#step({ op: "put", object, value: random.below(50) })];
      if (random.chance(0.5)) body.push(this.#sleep(random.pick([0, 1])));
      return [this.#step({ op: "repeat", times: random.below(3) + 1, body })];
    });
    const joiner = this.#makeFunction(() => [this.#step({ op: "join", object })]);
    const out: Statement[] = [];
    for (let i = random.below(5) + 2; i > 0; i--) {
      out.push(
        this.#step({ op: "spawn", fn: random.pick([consumer, consumer, producer, producer, joiner]) }),
      );
    }
    if (random.chance(0.3)) out.push(this.#ticker());
    for (let i = random.below(3) + 1; i > 0; i--) {
      out.push(this.#sleep(random.pick([0, 0, 1, 2])), ...this.#wake(object));
      if (random.chance(0.4)) out.push(this.#cancel(this.#taskReference()));
    }
    if (random.chance(0.5)) out.push(this.#guarded([this.#step({ op: "join", object })], 1));
    if (random.chance(0.5)) out.push(this.#step({ op: "shutdown", object, immediate: random.chance(0.5) }));
    return out;
  }

  /** Several tasks wait for one future in different ways; it ends and they are cancelled in one step. */
  #futureWaiters(): Block {
    const random = this.#random;
    const out: Statement[] = [this.#step({ op: "future" })];
    const target = (): Reference =>
      random.pick<Reference>([
        ["future", -1],
        ["future", -1],
        ["any", random.below(9)],
      ]);
    const waiter = (): number =>
      this.#makeFunction(() => {
        const how = random.weighted([4, 2, 2, 2, 2]);
        const ref = target();
        let body: Statement[];
        if (how === 0) body = [this.#step({ op: "await", ref })];
        else if (how === 1) body = [this.#step({ op: "shield", item: { ref } })];
        else if (how === 2) body = [this.#step({ op: "waitFor", item: { ref }, timeout: this.#timeout() })];
        else if (how === 3) {
          body = [
            this.#step({
              op: "gather",
              items: [{ ref }, ...this.#items(1)],
              returnExceptions: random.chance(0.5),
            }),
          ];
        } else {
          body = [
            this.#step({
              op: "wait",
              refs: [ref, target()],
              timeout: this.#timeout(),
              returnWhen: this.#returnWhen(),
            }),
          ];
        }
        if (random.chance(0.4)) body = [this.#guarded(body, 1)];
        if (random.chance(0.3)) body.push(...this.#body(1, 1));
        return body;
      });
    const workers = [waiter(), waiter()];
    for (let i = random.below(3) + 1; i > 0; i--)
      out.push(this.#step({ op: "spawn", fn: random.pick(workers) }));
    if (random.chance(0.4)) out.push(this.#step({ op: "spawn", fn: this.#awaitTask() }));
    if (random.chance(0.3)) out.push(this.#addDone(["any", random.below(9)]));
    for (let round = random.below(3) + 1; round > 0; round--) {
      out.push(this.#sleep(random.pick([0, 0, 0, 1, 2])));
      for (let i = random.below(4) + 1; i > 0; i--) {
        const choice = random.weighted([4, 4, 1, 2]);
        if (choice === 0) out.push(this.#finish(target()));
        else if (choice === 1) out.push(this.#cancel(random.chance(0.8) ? this.#taskReference() : target()));
        else if (choice === 2) out.push(this.#step({ op: "uncancel", ref: this.#taskReference() }));
        else out.push(this.#syncStep(0));
      }
    }
    if (random.chance(0.5)) out.push(this.#settle());
    return out;
  }

  #awaitTask(): number {
    return this.#makeFunction(() => {
      const body: Statement[] = [this.#step({ op: "await", ref: this.#taskReference() })];
      return this.#random.chance(0.5) ? [this.#guarded(body, 1), ...this.#body(1, 1)] : body;
    });
  }

  /** Nested and equal deadlines against sleeps, cancels and reschedules of the same instant. */
  #deadlines(): Block {
    const random = this.#random;
    const nest = (depth: number): Statement => {
      let body: Statement[] =
        depth > 0 && random.chance(0.7) ? [nest(depth - 1)] : [this.#sleep(random.pick([1, 2, 2, 3]))];
      if (random.chance(0.3))
        body.unshift(
          this.#step({ op: "reschedule", scope: random.below(4), time: random.pick([null, 0, 1, 2, -1]) }),
        );
      if (random.chance(0.3)) body = [this.#guarded(body, 1)];
      if (random.chance(0.3)) body.push(this.#sleep(random.pick([0, 1])));
      if (random.chance(0.15)) body.push(this.#cancel(["self", 0]));
      if (random.chance(0.1)) body.push(this.#step({ op: "raise", message: this.#message() }));
      return this.#deadline(body);
    };
    const job = this.#makeFunction(() => {
      const out: Statement[] = [
        random.chance(0.5) ? this.#guarded([nest(random.below(3))], 1) : nest(random.below(3)),
      ];
      out.push(this.#step({ op: "cancelling", ref: ["self", 0] }));
      if (random.chance(0.5)) out.push(this.#sleep(random.pick([0, 1])));
      return out;
    });
    const out: Statement[] = [];
    for (let i = random.below(2) + 1; i > 0; i--) out.push(this.#step({ op: "spawn", fn: job }));
    if (random.chance(0.5))
      out.push(
        this.#step({ op: "callLater", time: random.pick([1, 2, 2, 3]), callback: this.#makeCallback() }),
      );
    out.push(this.#sleep(random.pick([0, 1, 2, 2, 3])));
    for (let i = random.below(4); i > 0; i--) {
      out.push(
        random.pick([
          () => this.#cancel(this.#taskReference()),
          () =>
            this.#step({ op: "reschedule", scope: random.below(4), time: random.pick([null, 0, 1, 2, -1]) }),
          () => this.#step({ op: "scope", scope: random.below(4) }),
          () => this.#sleep(random.pick([0, 1])),
        ])(),
      );
    }
    if (random.chance(0.5)) out.push(this.#guarded([nest(random.below(2))], 1));
    if (random.chance(0.5)) out.push(this.#settle());
    return out;
  }

  /**
   * Groups whose children fail, are cancelled or swallow the cancellation, under parents that are cancelled
   * as well.
   */
  #groups(): Block {
    const random = this.#random;
    const child = (): number =>
      this.#makeFunction(() => {
        const body: Statement[] = [this.#sleep(random.pick([0, 1, 1, 2, 2]))];
        const choice = random.weighted([4, 3, 2]);
        if (choice === 0) body.push(this.#step({ op: "raise", message: this.#message() }));
        else if (choice === 1) body.push(this.#step({ op: "return", value: random.below(100) }));
        else body.push(...this.#body(1, 1));
        return random.chance(0.3) ? [this.#guarded(body, 1)] : body;
      });
    const children = [child(), child()];
    const group = (depth: number): Statement => {
      const body: Statement[] = [];
      for (let i = random.weighted([1, 3, 3, 1]); i > 0; i--) {
        body.push(this.#step({ op: "groupSpawn", fn: random.pick(children), group: -1 }));
      }
      if (depth > 0 && random.chance(0.4)) body.push(group(depth - 1));
      if (random.chance(0.5)) body.push(this.#sleep(random.pick([0, 1, 2, 3])));
      if (random.chance(0.15)) body.push(this.#cancel(["self", 0]));
      if (random.chance(0.2)) body.push(this.#cancel(this.#taskReference()));
      if (random.chance(0.2)) body.push(this.#step({ op: "raise", message: this.#message() }));
      return this.#step({ op: "group", body: random.chance(0.2) ? [this.#guarded(body, 1)] : body });
    };
    const parent = this.#makeFunction(() => {
      let body: Statement[] = [group(random.below(3))];
      if (random.chance(0.4)) body = [this.#guarded(body, 1)];
      if (random.chance(0.3)) body = [this.#deadline(body)];
      body.push(this.#step({ op: "cancelling", ref: ["self", 0] }));
      if (random.chance(0.5)) body.push(this.#sleep(random.pick([0, 1])));
      return body;
    });
    const out: Statement[] = [this.#step({ op: "spawn", fn: parent })];
    if (random.chance(0.3)) out.push(this.#step({ op: "spawn", fn: this.#awaitTask() }));
    out.push(this.#sleep(random.pick([0, 1, 1, 2, 2])));
    for (let i = random.below(4); i > 0; i--) {
      out.push(
        random.pick([
          () => this.#cancel(this.#taskReference()),
          () => this.#cancel(this.#taskReference()),
          () => this.#step({ op: "groupSpawn", fn: random.pick(children), group: random.below(3) }),
          () => this.#step({ op: "uncancel", ref: this.#taskReference() }),
          () => this.#sleep(random.pick([0, 1])),
        ])(),
      );
    }
    if (random.chance(0.6)) out.push(this.#settle());
    if (random.chance(0.3)) out.push(this.#guarded([group(1)], 1));
    return out;
  }

  /** A task cancels itself, withdraws the request or returns before it suspends. */
  #selfCancel(): Block {
    const random = this.#random;
    const job = this.#makeFunction(() => {
      let body: Statement[] = [];
      if (random.chance(0.3)) body.push(this.#sleep(random.pick([0, 1])));
      for (let i = random.below(2) + 1; i > 0; i--) body.push(this.#cancel(["self", 0]));
      for (let i = random.weighted([4, 3, 1]); i > 0; i--)
        body.push(this.#step({ op: "uncancel", ref: ["self", 0] }));
      const end = random.weighted([3, 3, 3, 1, 1]);
      if (end === 0) body.push(this.#step({ op: "return", value: random.below(100) }));
      else if (end === 1) body.push(this.#sleep(random.pick([0, 1])));
      else if (end === 2) body.push(this.#asyncStep(1));
      else if (end === 3) body.push(this.#step({ op: "raise", message: this.#message() }));
      else body.push(this.#step({ op: "raiseCancelled", message: this.#maybeMessage() }));
      if (random.chance(0.4)) body = [this.#guarded(body, 1), ...this.#body(1, 1)];
      return body;
    });
    const out: Statement[] = [this.#step({ op: "spawn", fn: job })];
    if (random.chance(0.4)) out.push(this.#cancel(["task", -1]));
    out.push(this.#guarded([this.#step({ op: "await", ref: ["task", -1] })], 1));
    if (random.chance(0.6)) out.push(this.#guarded([this.#step({ op: "await", ref: ["task", -1] })], 1));
    if (random.chance(0.5)) out.push(this.#guarded([this.#step({ op: "exception", ref: ["task", -1] })], 0));
    return out;
  }

  /**
   * A task waits for a child in one way. The child ends at a known instant, and a cancel follows a number of
   * iterations later: before the result is there, on its way up, at the wake-up, or after it.
   */
  #crossing(): Block {
    const random = this.#random;
    const instant = random.pick([0, 1, 1, 2]);
    const end = random.weighted([4, 3, 1]);
    const queue = random.chance(0.15) ? this.#object(random.pick(["fifo", "lifo", "priority"])) : undefined;
    const child = this.#makeFunction(() => {
      const body: Statement[] = [this.#sleep(instant)];
      if (queue !== undefined)
        body.push(
          this.#step({ op: "getNowait", object: queue }),
          this.#step({ op: "taskDone", object: queue }),
        );
      if (end === 0) body.push(this.#step({ op: "return", value: random.below(100) }));
      else if (end === 1) body.push(this.#step({ op: "raise", message: this.#message() }));
      else body.push(this.#step({ op: "raiseCancelled", message: this.#maybeMessage() }));
      return random.chance(0.2) ? [this.#guarded(body, 1)] : body;
    });
    const item = (): Item => (random.chance(0.5) ? { fn: child } : { ref: ["task", -2] });
    const ways: (() => Statement)[] = [
      () => this.#step({ op: "await", ref: ["task", -2] }),
      () =>
        this.#step({
          op: "gather",
          items: [item(), ...(random.chance(0.5) ? [item()] : [])],
          returnExceptions: random.chance(0.5),
        }),
      () =>
        this.#step({
          op: "wait",
          refs: [
            ["task", -2],
            ["task", random.below(6)],
          ],
          timeout: this.#timeout(),
          returnWhen: this.#returnWhen(),
        }),
      () => this.#step({ op: "waitFor", item: item(), timeout: this.#timeout() }),
      () => this.#step({ op: "shield", item: item() }),
      () =>
        this.#step({
          op: "asCompleted",
          items: [item(), item()],
          timeout: this.#timeout(),
          style: random.pick(["iterator", "asyncIterator"]),
          take: random.below(3) + 1,
        }),
      () => this.#step({ op: "group", body: [this.#step({ op: "groupSpawn", fn: child, group: -1 })] }),
      () =>
        this.#step({
          op: "group",
          body: [this.#step({ op: "groupSpawn", fn: child, group: -1 }), this.#sleep(random.pick([0, 1, 2]))],
        }),
      () => this.#deadline([this.#step({ op: "await", ref: ["task", -2] })]),
      () => this.#step({ op: "call", fn: child }),
    ];
    const waiter = this.#makeFunction(() => {
      let body: Statement[] = [
        queue === undefined ? random.pick(ways)() : this.#step({ op: "join", object: queue }),
      ];
      if (random.chance(0.3)) body = [this.#guarded(body, 1)];
      if (random.chance(0.4)) body.push(this.#sleep(random.pick([0, 1])));
      if (random.chance(0.2)) body.push(this.#step({ op: "cancelling", ref: ["self", 0] }));
      return body;
    });
    const out: Statement[] = [];
    if (queue !== undefined) out.push(this.#step({ op: "putNowait", object: queue, value: 1 }));
    out.push(this.#step({ op: "spawn", fn: child }), this.#step({ op: "spawn", fn: waiter }));
    if (random.chance(0.3)) out.push(this.#ticker());
    out.push(this.#sleep(instant));
    for (let round = random.weighted([0, 3, 2]); round > 0; round--) {
      for (let i = random.below(5); i > 0; i--) out.push(this.#sleep(0));
      out.push(this.#cancel(["task", random.pick([-1, -1, -2, -3])]));
      if (random.chance(0.2)) out.push(this.#step({ op: "uncancel", ref: ["task", -1] }));
    }
    if (random.chance(0.6)) out.push(this.#guarded([this.#step({ op: "await", ref: ["task", -1] })], 1));
    return out;
  }

  /** gather, wait, wait_for, shield and as_completed over the same tasks, cancelled at several levels. */
  #composite(): Block {
    const random = this.#random;
    const leaf = (): number =>
      this.#makeFunction(() => {
        const body: Statement[] = [this.#sleep(random.pick([0, 0, 1, 1, 1, 2, 3, 5]))];
        const end = random.weighted([4, 3, 1, 1]);
        if (end === 0) body.push(this.#step({ op: "return", value: random.below(100) }));
        else if (end === 1) body.push(this.#step({ op: "raise", message: this.#message() }));
        else if (end === 2) body.push(this.#step({ op: "raiseCancelled", message: this.#maybeMessage() }));
        return random.chance(0.3) ? [this.#guarded(body, 1), this.#sleep(random.pick([0, 1]))] : body;
      });
    const leaves = [leaf(), leaf()];
    const out: Statement[] = [];
    for (let i = random.below(3) + 1; i > 0; i--)
      out.push(this.#step({ op: "spawn", fn: random.pick(leaves) }));
    const outer = this.#makeFunction(() => {
      let body: Statement[] = [this.#compound(1)];
      if (random.chance(0.4)) body = [this.#guarded(body, 1)];
      if (random.chance(0.3)) body.push(this.#compound(1));
      return body;
    });
    for (let i = random.below(2) + 1; i > 0; i--) out.push(this.#step({ op: "spawn", fn: outer }));
    if (random.chance(0.4)) {
      out.push(
        random.chance(0.7)
          ? this.#step({ op: "storeGather", items: this.#items(2), returnExceptions: random.chance(0.5) })
          : this.#step({ op: "storeShield", item: this.#item() }),
      );
    }
    if (random.chance(0.3)) out.push(this.#ticker());
    for (let round = random.below(3) + 1; round > 0; round--) {
      // This is that many iterations after the instant at which most leaves end, so results are on their way
      // up.
      out.push(this.#sleep(random.pick([0, 1, 1, 2])));
      for (let i = random.below(4); i > 0; i--) out.push(this.#sleep(0));
      for (let i = random.below(3) + 1; i > 0; i--) {
        out.push(
          random.pick([
            () => this.#cancel(["any", -1 - random.below(6)]),
            () => this.#cancel(["task", -1 - random.below(4)]),
            () => this.#guarded([this.#compound(1)], 1),
            () => this.#addDone(["any", -1 - random.below(6)]),
          ])(),
        );
      }
    }
    if (random.chance(0.5)) out.push(this.#settle());
    return out;
  }

  /** Plain callbacks: callSoon, timers of equal, negative and zero delay, removal while dispatching. */
  #callbackDance(): Block {
    const random = this.#random;
    const out: Statement[] = [];
    const callbacks = Array.from({ length: random.below(3) + 1 }, () => this.#makeCallback());
    if (random.chance(0.6)) out.push(this.#step({ op: "future" }));
    if (random.chance(0.5)) out.push(this.#step({ op: "spawn", fn: random.below(this.#functions.length) }));
    for (let i = random.below(6) + 2; i > 0; i--) {
      const callback = random.pick(callbacks);
      out.push(
        random.pick([
          () => this.#step({ op: "callSoon", callback }),
          () => this.#step({ op: "callLater", time: random.pick([-1, 0, 0, 1, 1, 2]), callback }),
          () => this.#step({ op: "callAt", time: random.pick([-1, 0, 1, 2, 5]), callback }),
          () => this.#step({ op: "cancelHandle", handle: random.below(5) }),
          () => this.#step({ op: "addDone", ref: ["any", random.below(6)], callback }),
          () => this.#step({ op: "addDone", ref: ["future", -1], callback }),
          () => this.#step({ op: "removeDone", ref: ["any", random.below(6)], callback }),
          () => this.#step({ op: "removeDone", ref: ["future", -1], callback }),
          () => this.#finish(["future", random.below(4)]),
          () => this.#sleep(random.pick([0, 0, 1])),
        ])(),
      );
    }
    out.push(this.#sleep(random.pick([0, 1, 2])));
    return out;
  }

  // ---- general statements ----------------------------------------------------------------------

  #body(depth: number, length: number): Block {
    return Array.from({ length }, () =>
      this.#random.chance(0.45) ? this.#syncStep(depth) : this.#asyncStep(depth),
    );
  }

  #syncStep(depth: number): Statement {
    const random = this.#random;
    const choices: [number, () => Statement][] = [
      [4, () => this.#step({ op: "spawn", fn: this.#function() })],
      [1.5, () => this.#step({ op: "spawnRaw", raw: this.#raw() })],
      [4, () => this.#cancel(this.#reference())],
      [1, () => this.#step({ op: "uncancel", ref: this.#taskReference() })],
      [1, () => this.#step({ op: "cancelling", ref: this.#taskReference() })],
      [1, () => this.#step({ op: "state", ref: this.#reference() })],
      [1, () => this.#guarded([this.#step({ op: "result", ref: this.#reference() })], 0)],
      [1, () => this.#guarded([this.#step({ op: "exception", ref: this.#reference() })], 0)],
      [1, () => this.#step({ op: "future" })],
      [2, () => this.#finish(["future", random.below(5)])],
      [1, () => this.#addDone(this.#reference())],
      [1, () => this.#step({ op: "removeDone", ref: this.#reference(), callback: this.#callback() })],
      [1, () => this.#step({ op: "callSoon", callback: this.#callback() })],
      [
        1,
        () => this.#step({ op: "callLater", time: random.pick([-1, ...delays]), callback: this.#callback() }),
      ],
      [1, () => this.#step({ op: "cancelHandle", handle: random.below(5) })],
      [
        1,
        () =>
          this.#step({
            op: "storeGather",
            items: this.#items(random.below(3)),
            returnExceptions: random.chance(0.5),
          }),
      ],
      [1, () => this.#step({ op: "storeShield", item: this.#item() })],
      [
        1,
        () => this.#step({ op: "reschedule", scope: random.below(4), time: random.pick([null, ...delays]) }),
      ],
      [0.5, () => this.#step({ op: "scope", scope: random.below(4) })],
      [0.5, () => this.#step({ op: "groupSpawn", fn: this.#function(), group: random.below(3) })],
      [0.3, () => this.#step({ op: "allTasks" })],
      [0.5, () => this.#ticker()],
      [depth > 0 ? 0.5 : 0, () => this.#step({ op: "raise", message: this.#message() })],
    ];
    if (this.#objects.length > 0) choices.push([4, () => this.#objectStep()]);
    return this.#choose(choices);
  }

  /** A synchronous step on one of the objects. */
  #objectStep(): Statement {
    const random = this.#random;
    const object = random.below(this.#objects.length);
    const wake = this.#wake(object)[0]!;
    // In a general place, only statements that never suspend are allowed.
    if (["with", "resetBarrier", "abortBarrier", "sleep"].includes(wake.op))
      return this.#step({ op: "objectState", object });
    return wake;
  }

  #asyncStep(depth: number): Statement {
    const random = this.#random;
    const choices: [number, () => Statement][] = [
      [5, () => this.#sleep(random.pick(delays))],
      [3, () => this.#step({ op: "await", ref: this.#reference() })],
      [2, () => this.#step({ op: "call", fn: this.#function() })],
      [0.4, () => this.#step({ op: "return", value: random.below(100) })],
      [0.3, () => this.#step({ op: "raiseCancelled", message: this.#maybeMessage() })],
      [4, () => this.#compound(depth)],
    ];
    if (depth > 0) {
      choices.push(
        [2, () => this.#deadline(this.#body(depth - 1, random.below(2) + 1))],
        [1.5, () => this.#step({ op: "group", body: this.#groupBody(depth - 1) })],
        [3, () => this.#guarded(this.#body(depth - 1, random.below(2) + 1), depth - 1)],
        [0.5, () => this.#step({ op: "repeat", times: random.below(3) + 1, body: this.#body(depth - 1, 1) })],
      );
    }
    if (this.#objects.length > 0) choices.push([3, () => this.#use(random.below(this.#objects.length))[0]!]);
    return this.#choose(choices);
  }

  #groupBody(depth: number): Block {
    const out = [this.#step({ op: "groupSpawn", fn: this.#function(), group: -1 })];
    if (this.#random.chance(0.5)) out.push(this.#step({ op: "groupSpawn", fn: this.#function(), group: -1 }));
    if (this.#random.chance(0.6)) out.push(...this.#body(depth, 1));
    return out;
  }

  /** A call of a function that waits for several awaitables, or for one under conditions. */
  #compound(_depth: number): Statement {
    const random = this.#random;
    switch (random.below(5)) {
      case 0:
        return this.#step({
          op: "gather",
          items: this.#items(random.below(3) + 1),
          returnExceptions: random.chance(0.5),
        });
      case 1:
        return this.#step({
          op: "wait",
          refs: Array.from({ length: random.below(3) + 1 }, () =>
            random.chance(0.5) ? (["any", -1 - random.below(5)] as const) : this.#reference(),
          ),
          timeout: this.#timeout(),
          returnWhen: this.#returnWhen(),
        });
      case 2:
        return this.#step({ op: "waitFor", item: this.#item(), timeout: this.#timeout() });
      case 3:
        return this.#step({ op: "shield", item: this.#item() });
      default:
        return this.#step({
          op: "asCompleted",
          items: this.#items(random.below(3) + 1),
          timeout: this.#timeout(),
          style: random.pick(["iterator", "asyncIterator"]),
          take: random.below(4) + 1,
        });
    }
  }

  #guarded(body: Block, depth: number): Statement {
    const random = this.#random;
    const kind = random.chance(0.15)
      ? null
      : random.pick<Catch>(["cancelled", "cancelled", "all", "all", "error", "boom", "timeout", "group"]);
    const quiet = (): Block => {
      const out: Statement[] = [];
      if (depth > 0 && random.chance(0.4)) out.push(this.#sleep(random.pick([0, 1])));
      if (random.chance(0.15)) out.push(this.#step({ op: "uncancel", ref: ["self", 0] }));
      if (random.chance(0.1)) out.push(this.#cancel(["self", 0]));
      if (depth > 0 && random.chance(0.15)) out.push(...this.#body(depth - 1, 1));
      if (random.chance(0.08)) out.push(this.#step({ op: "raise", message: this.#message() }));
      if (depth > 0 && random.chance(0.08)) out.push(this.#step({ op: "return", value: random.below(100) }));
      return out;
    };
    return this.#try(
      body,
      kind,
      quiet(),
      random.chance(0.3),
      kind === null || random.chance(0.25) ? quiet() : [],
    );
  }

  #try(body: Block, kind: Catch | null, handler: Block, rethrow: boolean, last: Block): Statement {
    return this.#step({ op: "try", body, catch: kind, handler, rethrow, finally: last });
  }

  #deadline(body: Block): Statement {
    const random = this.#random;
    if (random.chance(0.15))
      return this.#step({ op: "timeoutAt", time: random.pick([null, 0, 1, 2, 3, 5, 8]), body });
    return this.#step({ op: "timeout", time: random.pick([null, 0, 0, 1, 1, 2, 2, 2, 3, -1]), body });
  }

  /** Waits until most of the spawned tasks have ended, and swallows their errors. */
  #settle(): Statement {
    return this.#try([this.#sleep(this.#random.pick([1, 3, 6]))], "all", [], false, []);
  }

  #ticker(): Statement {
    return this.#step({ op: "ticker", count: this.#random.below(8) + 2 });
  }

  #sleep(time: number): Statement {
    return this.#step({
      op: "sleep",
      time,
      value: this.#random.chance(0.1) ? this.#random.below(100) : null,
    });
  }

  #cancel(ref: Reference): Statement {
    return this.#step({ op: "cancel", ref, message: this.#maybeMessage() });
  }

  #finish(ref: Reference): Statement {
    const random = this.#random;
    const how = random.weighted([5, 3, 1, 1]);
    if (how === 0) return this.#step({ op: "setResult", ref, value: random.below(100) });
    if (how === 1) return this.#step({ op: "setException", ref, message: this.#message() });
    if (how === 2) return this.#step({ op: "setCancelled", ref, message: this.#maybeMessage() });
    return this.#cancel(ref);
  }

  #addDone(ref: Reference): Statement {
    return this.#step({ op: "addDone", ref, callback: this.#callback() });
  }

  // ---- what statements mention -----------------------------------------------------------------

  #items(length: number): Item[] {
    return Array.from({ length }, (_, index) =>
      index > 0 && this.#random.chance(0.2) ? { same: this.#random.below(index) } : this.#item(),
    );
  }

  #item(): Item {
    const random = this.#random;
    if (random.chance(0.2)) return { raw: this.#raw() };
    if (random.chance(0.5))
      return { ref: random.chance(0.5) ? ["any", -1 - random.below(5)] : this.#reference() };
    return { fn: random.chance(0.6) ? this.#recentFunction() : this.#function() };
  }

  #reference(): Reference {
    const random = this.#random;
    const kind = random.weighted([5, 3, 2, 3]);
    if (kind === 0) return this.#taskReference();
    if (kind === 1) return ["future", random.below(5)];
    if (kind === 2) return ["outer", random.below(3)];
    return ["any", random.below(12)];
  }

  /** Negative numbers count from the newest. */
  #taskReference(): Reference {
    return this.#random.chance(0.6) ? ["task", -1 - this.#random.below(4)] : ["task", this.#random.below(10)];
  }

  #function(): number {
    return this.#random.below(this.#functions.length);
  }

  /** An awaitable of the library: of one of the objects, or a sleep. */
  #raw(): RawStep {
    const random = this.#random;
    const object = random.below(this.#objects.length + 1);
    const spec = this.#objects[object];
    switch (spec?.kind) {
      case undefined:
        return {
          op: "sleep",
          time: random.pick(delays),
          value: random.chance(0.5) ? random.below(100) : null,
        };
      case "lock":
      case "semaphore":
      case "bounded":
        return { op: "acquire", object };
      case "event":
        return { op: "waitEvent", object };
      case "condition":
        return { op: random.chance(0.5) ? "acquire" : "waitCondition", object };
      case "barrier":
        return { op: "waitBarrier", object };
      default: {
        const op = random.pick(["get", "get", "put", "join"] as const);
        return op === "put" ? { op, object, value: random.below(50) } : { op, object };
      }
    }
  }

  /** One of the last few functions, which belong to the current scenario. */
  #recentFunction(): number {
    return this.#functions.length - 1 - this.#random.below(Math.min(3, this.#functions.length));
  }

  #callback(): number {
    if (this.#callbacks.length === 0 || (this.#callbacks.length < 3 && this.#random.chance(0.3)))
      return this.#makeCallback();
    return this.#random.below(this.#callbacks.length);
  }

  #makeFunction(body: () => Block): number {
    // The body is made first, so the functions that it mentions have lower numbers.
    return this.#functions.push(body()) - 1;
  }

  #makeCallback(): number {
    const random = this.#random;
    const depth = this.#callbacks.length;
    const body = Array.from({ length: random.below(3) + 1 }, () => {
      // A callback may not create another one, so the numbering stays acyclic.
      const plain: [number, () => Statement][] = [
        [4, () => this.#cancel(this.#reference())],
        [2, () => this.#finish(["future", random.below(5)])],
        [1, () => this.#step({ op: "state", ref: this.#reference() })],
        [0.5, () => this.#step({ op: "uncancel", ref: this.#taskReference() })],
        [0.6, () => this.#step({ op: "raise", message: this.#message() })],
        [
          1,
          () => this.#step({ op: "reschedule", scope: random.below(4), time: random.pick([null, 0, 1, 2]) }),
        ],
        [1, () => this.#step({ op: "cancelHandle", handle: random.below(5) })],
        [this.#functions.length > 0 ? 1 : 0, () => this.#step({ op: "spawn", fn: this.#function() })],
        [depth > 0 ? 1 : 0, () => this.#step({ op: "callSoon", callback: random.below(depth) })],
        [
          depth > 0 ? 1 : 0,
          () => this.#step({ op: "addDone", ref: this.#reference(), callback: random.below(depth) }),
        ],
        [
          depth > 0 ? 1 : 0,
          () => this.#step({ op: "removeDone", ref: this.#reference(), callback: random.below(depth) }),
        ],
      ];
      if (this.#objects.length > 0) plain.push([4, () => this.#objectStep()]);
      return this.#choose(plain);
    });
    return this.#callbacks.push(body) - 1;
  }

  #object(kind: ObjectKind): number {
    const random = this.#random;
    const known = this.#objects.findIndex((each) => each.kind === kind);
    if (known >= 0 && random.chance(0.3)) return known;
    return this.#objects.push(this.#spec(kind)) - 1;
  }

  #spec(kind: ObjectKind): ObjectSpec {
    const random = this.#random;
    switch (kind) {
      case "lock":
      case "event":
        return { kind };
      case "semaphore":
      case "bounded":
        return { kind, value: random.weighted([1, 5, 3, 1]) };
      case "condition": {
        const lock = this.#objects.findIndex((each) => each.kind === "lock");
        return lock >= 0 && random.chance(0.4) ? { kind, lock } : { kind };
      }
      case "barrier":
        return { kind, parties: random.weighted([0, 1, 4, 3]) };
      default:
        return { kind, maxsize: random.weighted([3, 4, 2]) };
    }
  }

  #timeout(): number | null {
    return this.#random.chance(0.35) ? null : this.#random.pick([0, 1, 1, 2, 2, 3, -1, 0.5]);
  }

  #returnWhen(): ReturnWhen {
    return this.#random.pick(["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]);
  }

  #message(): string {
    return `e${this.#random.below(10)}`;
  }

  #maybeMessage(): string | null {
    return this.#random.chance(0.3) ? null : `m${this.#random.below(10)}`;
  }

  #choose(choices: readonly [number, () => Statement][]): Statement {
    return choices[this.#random.weighted(choices.map(([weight]) => weight))]![1]();
  }

  #step(step: Step): Statement {
    return { n: ++this.#statements, ...step };
  }
}
