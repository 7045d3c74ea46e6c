import {
  asCompleted,
  createTask,
  gather,
  Lock,
  Queue,
  shield,
  sleep,
  taskGroup,
  timeout,
  TimeoutError,
  wait,
  CancelledError,
} from "@taskloom/loop";
import type { Awaitable, Operation } from "@taskloom/loop";
import { defineTask } from "@taskloom/queue";
import {
  defineSignal,
  defineUpdate,
  defineView,
  defineWorkflow,
  now,
  onUpdate,
  random,
  step,
} from "@taskloom/workflow";
import type { WorkflowDefinition } from "@taskloom/workflow";

/** A program over the primitives of the loop and the steps of a run. */
export type Program =
  | { readonly kind: "step"; readonly label: number; readonly fails: boolean; readonly attempts: number }
  | { readonly kind: "sleep"; readonly ms: number }
  | { readonly kind: "signal"; readonly ms: number }
  | { readonly kind: "timeout"; readonly ms: number; readonly body: Program; readonly label: number }
  | { readonly kind: "finally"; readonly body: Program; readonly label: number }
  | { readonly kind: "shield"; readonly ms: number; readonly body: Program }
  | { readonly kind: "lock" | "queue"; readonly parts: readonly Program[]; readonly size: number }
  | {
      readonly kind: "sequence" | "gather" | "asCompleted" | "first" | "group";
      readonly parts: readonly Program[];
    };

/** A source of random integers: mulberry32. */
export function chooser(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

/** Returns the random program of a seed. */
export function programOf(seed: number): Program {
  const choose = chooser(seed);
  let label = 0;
  const parts = (depth: number): Program[] => Array.from({ length: 2 + choose(2) }, () => make(depth - 1));
  const make = (depth: number): Program => {
    const kind = depth <= 0 ? choose(4) : 4 + choose(10);
    switch (kind) {
      case 0:
      case 1:
        return { kind: "step", label: ++label, fails: choose(6) === 0, attempts: 1 + choose(2) };
      case 2:
        return { kind: "sleep", ms: choose(80) };
      case 3:
        return { kind: "signal", ms: 1 + choose(60) };
      case 4:
        return { kind: "timeout", ms: 1 + choose(120), body: make(depth - 1), label: ++label };
      case 5:
        return { kind: "finally", body: make(depth - 1), label: ++label };
      case 6:
        return { kind: "shield", ms: 1 + choose(80), body: make(depth - 1) };
      case 7:
        return { kind: "lock", parts: parts(depth), size: 1 };
      case 8:
        return { kind: "queue", parts: parts(depth), size: choose(3) };
      default: {
        const kinds = ["sequence", "gather", "asCompleted", "first", "group"] as const;
        return { kind: kinds[kind - 9]!, parts: parts(depth) };
      }
    }
  };
  return { kind: "sequence", parts: [make(2), make(1), make(1)] };
}

const work = defineTask({ name: "work" }, (label: number, fails: boolean) => {
  if (fails) throw new RangeError(`step ${label} fails`);
  return label * 10;
});
export const knocked = defineSignal<number>("knocked");
export const asked = defineUpdate<[number], number>("asked");
const seen = defineView<number>("seen");

type Script = Generator<Awaitable<unknown>, unknown, unknown>;
type Spell = (script: () => Script) => () => Awaitable<unknown>;

/** A script, awaited by a generator. */
const byGenerator: Spell = (script) =>
  function* () {
    const generator = script();
    let next = generator.next();
    while (next.done !== true) {
      try {
        next = generator.next(yield* next.value as Operation<unknown>);
      } catch (error) {
        next = generator.throw(error);
      }
    }
    return next.value;
  };

/** The same script, awaited by an `async` function. */
const byAsync: Spell = (script) => async () => {
  const generator = script();
  let next = generator.next();
  while (next.done !== true) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- a script is a sequence
      next = generator.next(await next.value);
    } catch (error) {
      next = generator.throw(error);
    }
  }
  return next.value;
};

/** Runs programs in one spelling, and traces the order of everything. */
class Interpreter {
  readonly trace: string[] = [];
  readonly #spell: Spell;

  constructor(spell: Spell) {
    this.#spell = spell;
  }

  branch(program: Program): () => Awaitable<unknown> {
    return this.#spell(() => this.script(program));
  }

  #note(text: string): void {
    this.trace.push(`${now() % 1_000_000}:${text}`);
  }

  #error(error: unknown): string {
    this.#note(error instanceof Error ? error.name : "?");
    return error instanceof Error ? error.name : "?";
  }

  *script(program: Program): Script {
    switch (program.kind) {
      case "step": {
        const { label, fails, attempts } = program;
        const value = yield step.with({ attempts })(work, label, fails);
        this.#note(`step ${label}`);
        seen.set(label);
        return value;
      }
      case "sleep":
        yield sleep(program.ms);
        return random() < 0.5 ? "heads" : "tails";
      case "signal":
        try {
          return yield timeout(program.ms, knocked.receive());
        } catch (error) {
          if (!(error instanceof TimeoutError)) throw error;
          return knocked.receiveNowait() ?? this.#error(error);
        }
      case "timeout":
        try {
          return yield timeout(program.ms, this.branch(program.body));
        } catch (error) {
          if (error instanceof CancelledError) throw error;
          this.#error(error);
          return yield step(work, program.label, false);
        }
      case "finally":
        try {
          return yield* this.script(program.body);
        } finally {
          yield step(work, program.label, false);
          this.#note(`finally ${program.label}`);
        }
      case "shield":
        try {
          return yield timeout(program.ms, () => shield(createTask(this.branch(program.body))));
        } catch (error) {
          if (error instanceof CancelledError) throw error;
          return this.#error(error);
        }
      case "lock":
        return yield* this.#locked(program.parts);
      case "queue":
        return yield* this.#produced(program.parts, program.size);
      default:
        return yield* this.#many(program.kind, program.parts);
    }
  }

  *#many(kind: "sequence" | "gather" | "asCompleted" | "first" | "group", parts: readonly Program[]): Script {
    const results: unknown[] = [];
    const branches = parts.map((part) => this.branch(part));
    switch (kind) {
      case "sequence":
        for (const part of parts) results.push(yield* this.script(part));
        break;
      case "gather":
        for (const result of (yield gather(branches, { returnExceptions: true })) as unknown[]) {
          results.push(result instanceof Error ? this.#error(result) : result);
        }
        break;
      case "asCompleted":
        for (const next of asCompleted(branches)) {
          try {
            results.push(yield next);
          } catch (error) {
            if (error instanceof CancelledError) throw error;
            results.push(this.#error(error));
          }
        }
        break;
      case "first": {
        const tasks = branches.map((branch) => createTask(branch));
        const { done, pending } = (yield wait(tasks, { returnWhen: "FIRST_COMPLETED" })) as {
          done: Set<unknown>;
          pending: Set<{ cancel(): void }>;
        };
        for (const task of pending) task.cancel();
        yield gather(tasks, { returnExceptions: true });
        results.push(done.size, pending.size);
        break;
      }
      case "group":
        try {
          yield taskGroup((group) =>
            this.#spell(function* () {
              for (const branch of branches) group.createTask(branch);
              yield sleep(1);
              return undefined;
            })(),
          );
        } catch (error) {
          if (error instanceof CancelledError) throw error;
          results.push(this.#error(error));
        }
    }
    return results;
  }

  *#locked(parts: readonly Program[]): Script {
    const lock = new Lock();
    const branches = parts.map((part, i) =>
      this.#spell(
        function* (this: Interpreter): Script {
          yield lock.acquire();
          try {
            this.#note(`held by ${i}`);
            return yield* this.script(part);
          } finally {
            lock.release();
          }
        }.bind(this),
      ),
    );
    return String(yield gather(branches, { returnExceptions: true }));
  }

  *#produced(parts: readonly Program[], size: number): Script {
    const queue = new Queue<unknown>(size);
    const producer = this.#spell(
      function* (this: Interpreter): Script {
        for (const part of parts) {
          let item: unknown;
          try {
            item = yield* this.script(part);
          } catch (error) {
            if (error instanceof CancelledError) throw error;
            item = this.#error(error);
          }
          yield queue.put(item);
        }
        yield queue.put(null);
        return "produced";
      }.bind(this),
    );
    const consumer = this.#spell(
      function* (this: Interpreter): Script {
        const items: unknown[] = [];
        for (let item = yield queue.get(); item !== null; item = yield queue.get()) {
          this.#note("item");
          items.push(yield step(work, 1000 + items.length, false));
        }
        return items;
      }.bind(this),
    );
    return yield gather([producer, consumer]);
  }
}

/** Returns the workflow of a program: its result, or its error, and the order of everything. */
export function workflowOf(program: Program, spelling: "generator" | "async"): WorkflowDefinition<[]> {
  const spell = spelling === "generator" ? byGenerator : byAsync;
  const main = (): Awaitable<unknown> => {
    const interpreter = new Interpreter(spell);
    onUpdate(asked, function* (label) {
      const answer = yield* step(work, label, label % 3 === 0);
      interpreter.trace.push(`asked ${label}`);
      return answer;
    });
    return spell(function* (): Script {
      try {
        const value = yield* interpreter.script(program);
        return { value: JSON.stringify(value), trace: interpreter.trace };
      } catch (error) {
        if (error instanceof CancelledError) throw error;
        return { error: String(error), trace: interpreter.trace };
      }
    })();
  };
  const options = { name: `program.${spelling}` };
  return spelling === "generator"
    ? defineWorkflow(options, function* () {
        return yield* main() as Operation<unknown>;
      })
    : defineWorkflow(options, main);
}
