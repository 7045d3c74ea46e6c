import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

import { interpret } from "./interpret.ts";
import type { Outcome } from "./outcome.ts";
import type { Program } from "./program.ts";

export interface Golden {
  readonly python: string;
  /** The number of times that the programs reached each event, as CPython counted them. */
  readonly statistics: Readonly<Record<string, number>>;
  readonly programs: readonly {
    readonly seed: number;
    readonly index: number;
    readonly program: Program;
    readonly trace: readonly string[];
  }[];
}

/** The programs and CPython's traces of them, written by `pnpm conformance --golden`. */
export function readGolden(): Golden {
  const packed = readFileSync(new URL("golden/programs.json.gz", import.meta.url));
  return JSON.parse(gunzipSync(packed).toString("utf8")) as Golden;
}

/** Programs that have one outcome under every schedule, with that outcome from CPython. */
export interface GoldenOutcomes {
  readonly python: string;
  readonly programs: readonly {
    readonly seed: number;
    readonly index: number;
    readonly program: Program;
    readonly outcome: Outcome;
  }[];
}

/** The programs and outcomes, written by `pnpm conformance --spelling async --golden`. */
export function readConfluent(): GoldenOutcomes {
  const packed = readFileSync(new URL("golden/confluent.json.gz", import.meta.url));
  return JSON.parse(gunzipSync(packed).toString("utf8")) as GoldenOutcomes;
}

/**
 * Returns the first different line of our trace of a golden program with the lines before it, or undefined.
 */
export async function difference({
  seed,
  index,
  program,
  trace,
}: Golden["programs"][number]): Promise<string | undefined> {
  const actual = await interpret(program);
  const length = Math.max(trace.length, actual.length);
  for (let i = 0; i < length; i++) {
    if (trace[i] === actual[i]) continue;
    const before = trace.slice(Math.max(0, i - 8), i).map((line) => `    ${line}`);
    return [
      `program ${index} of seed ${seed}, line ${i + 1} (pnpm conformance --seed ${seed} --from ${index} --count 1)`,
      ...before,
      `  - ${trace[i] ?? "(the end)"}`,
      `  + ${actual[i] ?? "(the end)"}`,
    ].join("\n");
  }
  return undefined;
}
