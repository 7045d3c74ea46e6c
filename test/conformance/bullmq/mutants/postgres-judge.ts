import { randomUUID } from "node:crypto";
import { userInfo } from "node:os";
import pg from "pg";
import { ADD_FUNCTION } from "../../../../packages/queue/src/engines/postgres/driver/add-function.ts";
import { CLAIM_FUNCTIONS } from "../../../../packages/queue/src/engines/postgres/driver/claim-functions.ts";
import { END_FUNCTIONS } from "../../../../packages/queue/src/engines/postgres/driver/end-functions.ts";
import { TURN_FUNCTION } from "../../../../packages/queue/src/engines/postgres/driver/turn-function.ts";
import { differenceFrom, record } from "../compare.ts";
import type { Comparison, Recording } from "../compare.ts";
import { SCHEMAS, postgresSides } from "../postgres-sides.ts";
import type { Judge, Verdict } from "./judge.ts";
import { plpgsql } from "./plpgsql.ts";
import { mutantsOf, mutated } from "./text-mutant.ts";
import type { TextMutant } from "./text-mutant.ts";

/** The texts of the driver's functions. */
const TEXTS: Readonly<Record<string, string>> = {
  "end-functions": END_FUNCTIONS,
  "claim-functions": CLAIM_FUNCTIONS,
  "turn-function": TURN_FUNCTION,
  "add-function": ADD_FUNCTION,
};

/** The distance of the first events of two sequences. BullMQ trims the events at each 256th. */
const EVENTS_APART = 97;

/** Judges mutants of the driver's functions in a PostgreSQL database of its own. */
export class PostgresJudge implements Judge {
  readonly #name: string;
  readonly #server: pg.Client;
  readonly #client: pg.Client;
  readonly #sides: Awaited<ReturnType<typeof postgresSides>>;
  readonly #recordings: Recording[] = [];

  private constructor(
    name: string,
    server: pg.Client,
    client: pg.Client,
    sides: Awaited<ReturnType<typeof postgresSides>>,
  ) {
    this.#name = name;
    this.#server = server;
    this.#client = client;
    this.#sides = sides;
  }

  /** @param url a server on which this user can create databases. */
  static async start(
    url: string = `postgres://${userInfo().username}@127.0.0.1:5432/postgres`,
  ): Promise<PostgresJudge> {
    const server = new pg.Client({ connectionString: url });
    await server.connect();
    const name = `taskloom_mutants_${randomUUID().slice(0, 8)}`;
    await server.query(`CREATE DATABASE ${name}`);
    const own = new URL(`/${name}`, url).href;
    const sides = await postgresSides(own);
    const client = new pg.Client({ connectionString: own, options: `-c search_path=${SCHEMAS.turns}` });
    await client.connect();
    return new PostgresJudge(name, server, client, sides);
  }

  mutants(): TextMutant[] {
    return postgresMutants();
  }

  /** PostgreSQL parses a function when it is created. */
  async isValid(mutant: TextMutant): Promise<boolean> {
    await this.#client.query("BEGIN");
    const isValid = await this.#client.query(this.#textOf(mutant)).then(
      () => true,
      () => false,
    );
    await this.#client.query("ROLLBACK");
    return isValid;
  }

  async verdict(mutant: TextMutant, comparisons: readonly Comparison[]): Promise<Verdict> {
    for (const [at, comparison] of comparisons.entries()) {
      if (this.#recordings[at] !== undefined) continue;
      await this.#reset(comparison);
      this.#recordings[at] = await record(this.#sides.bullmq, comparison);
    }
    await this.#client.query(this.#textOf(mutant));
    try {
      for (const [at, comparison] of comparisons.entries()) {
        await this.#reset(comparison);
        const found = await differenceFrom(this.#recordings[at]!, this.#sides.driver);
        if (found !== undefined) return { kind: "caught", after: at + 1, at: found.at };
      }
      return { kind: "survived" };
    } finally {
      await this.#client.query(TEXTS[mutant.source]!);
    }
  }

  async #reset({ index }: Comparison): Promise<void> {
    await this.#sides.reset(1 + index * EVENTS_APART);
  }

  #textOf(mutant: TextMutant): string {
    return mutated(TEXTS[mutant.source]!, mutant);
  }

  async close(): Promise<void> {
    await this.#sides.close();
    await this.#client.end();
    await this.#server.query(`DROP DATABASE ${this.#name} WITH (FORCE)`);
    await this.#server.end();
  }
}

/** Returns the mutants of the driver's functions; PostgreSQL refuses some of them. */
export function postgresMutants(): TextMutant[] {
  return Object.entries(TEXTS).flatMap(([name, text]) => mutantsOf(name, text, plpgsql, besideLocks(text)));
}

/**
 * Returns a function that returns whether a line is outside the blocks that only choose and take locks, which operations in a
 * row cannot see. Tests with several sessions cover them.
 */
function besideLocks(text: string): (line: number) => boolean {
  const left = new Set<number>();
  let end: RegExp | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    if (line.includes("SELECT bool_or(")) end = /v_parents := ARRAY/;
    else if (line.includes("FOR v_key IN")) end ??= /END LOOP/;
    if (end?.test(line) === true) end = undefined;
    else if (end !== undefined) left.add(index + 1);
  }
  return (line) => !left.has(line);
}
