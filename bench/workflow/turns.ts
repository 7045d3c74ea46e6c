import type { ChildProcess } from "node:child_process";
import { ask } from "./processes.ts";
import type { Question } from "./protocol.ts";

/**
 * Measures all sides in turns, with the order reversed in each second turn, so that a disturbance of the machine affects
 * all of them. Returns all figures of each side.
 */
export async function inTurns<S extends string>(
  sides: Readonly<Record<S, () => Promise<readonly number[]>>>,
  turns: number,
): Promise<Record<S, number[]>> {
  const names = Object.keys(sides) as S[];
  const figures = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<S, number[]>;
  for (let turn = 0; turn < turns; turn++) {
    for (const name of turn % 2 === 0 ? names : names.toReversed())
      figures[name].push(...(await sides[name]()));
  }
  return figures;
}

/** Asks all sides in turns. Returns all times of each side, in milliseconds. */
export async function timesInTurns<S extends string>(
  processes: Readonly<Record<S, ChildProcess>>,
  question: Question & { readonly name: "gather" | "runs" },
  turns: number,
): Promise<Record<S, number[]>> {
  const sides = Object.entries<ChildProcess>(processes).map(([side, child]) => [
    side,
    async (): Promise<number[]> => [(await ask(child, question)).time],
  ]);
  return await inTurns(Object.fromEntries(sides) as Record<S, () => Promise<number[]>>, turns);
}

/** The number of rounds of each measurement. */
export const rounds: number = Number(process.env["BENCH_ROUNDS"] ?? 5);
