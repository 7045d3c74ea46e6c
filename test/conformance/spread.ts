import { generate } from "./generate.ts";
import type { Block, Program, Statement } from "./program.ts";
import { Random } from "./random.ts";

/** Returns the spread program of a seed and an index. */
export function spreadProgram(seed: number, index: number): Program {
  return spread(generate(seed, index), new Random(seed ^ 0x5eed, index));
}

/**
 * Returns the same program with its events apart. Each delay has a fraction of its own, most zero delays
 * become short, and short sleeps stand between statements. Events that still share an instant are ordered by
 * the program itself, so many programs have one outcome under every schedule and in every spelling.
 */
function spread(program: Program, random: Random): Program {
  return new Spreader(random, lastNumber(program)).program(program);
}

class Spreader {
  readonly #random: Random;
  #statements: number;
  #moments = 0;

  constructor(random: Random, statements: number) {
    this.#random = random;
    this.#statements = statements;
  }

  program({ objects, functions, callbacks, main }: Program): Program {
    return {
      objects,
      functions: functions.map((body) => {
        const first = this.#random.chance(0.7) ? [this.#sleep()] : [];
        return [...first, ...this.#block(body, 0.4)];
      }),
      callbacks: callbacks.map((body) => body.map((statement) => this.#statement(statement))),
      main: this.#block(main, 0.6),
      isSpread: true,
    };
  }

  #block(body: Block, chance: number): Block {
    return body.flatMap((statement) =>
      this.#random.chance(chance)
        ? [this.#sleep(), this.#statement(statement)]
        : [this.#statement(statement)],
    );
  }

  #statement(statement: Statement): Statement {
    const out: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(statement)) {
      if (key === "body") out[key] = this.#block(value as Block, 0.4);
      else if (key === "handler" || key === "finally") out[key] = this.#block(value as Block, 0.2);
      else out[key] = this.#times(key, value);
    }
    return out as unknown as Statement;
  }

  /** Times anywhere in a statement; all of them have one of these two keys. */
  #times(key: string, value: unknown): unknown {
    if ((key === "time" || key === "timeout") && typeof value === "number") {
      if (value > 0) return value + this.#moment();
      return this.#random.chance(0.6) ? this.#moment() : value;
    }
    if (Array.isArray(value)) return value.map((each) => this.#times(key, each));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([inner, each]) => [inner, this.#times(inner, each)]),
    );
  }

  #sleep(): Statement {
    return { n: ++this.#statements, op: "sleep", time: this.#moment(), value: null };
  }

  /** Returns a unique fraction below a half. A sum of a few fractions is exact, here and in Python. */
  #moment(): number {
    return ((++this.#moments * 389) % 2039) / 4096;
  }
}

function lastNumber(program: Program): number {
  const numbers = JSON.stringify(program).match(/(?<="n":)\d+/g) ?? [];
  return Math.max(0, ...numbers.map(Number));
}
