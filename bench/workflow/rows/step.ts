import { ask } from "../processes.ts";
import { measured, median, short, told } from "../report.ts";
import type { Side, Stage } from "../stage.ts";
import { inTurns, rounds } from "../turns.ts";

/** The steps of one turn. A turn is short, so that all sides have the same machine. */
const STEPS = 200;
const TURNS_PER_ROUND = 3;

const sides = [
  "raw INSERT",
  "Taskloom PostgreSQL",
  "DBOS",
  "openworkflow",
  "raw append",
  "Taskloom Redis",
  "Restate",
] as const satisfies Side[];

/** One run of empty sequential steps: the time from the start of a step to the start of the next one. */
export async function step(stage: Stage): Promise<void> {
  await stage.with(sides, async (processes) => {
    const turn = (side: (typeof sides)[number]) => async (): Promise<number[]> => {
      const { times } = await ask(processes[side], { name: "steps", count: STEPS });
      return [median(times)];
    };
    const all = Object.fromEntries(sides.map((side) => [side, turn(side)])) as Record<
      (typeof sides)[number],
      () => Promise<number[]>
    >;
    await inTurns(all, 2); // V8 compiles the code.
    const figures = await inTurns(all, TURNS_PER_ROUND * rounds);
    const p50 = (side: (typeof sides)[number]): number => median(figures[side]);
    const ms = (...named: (typeof sides)[number][]): string =>
      named.map((side) => `${side} ${short(p50(side))} ms`).join(", ");
    const ours = p50("Taskloom PostgreSQL");
    const onPostgres = ms("raw INSERT", "Taskloom PostgreSQL", "DBOS", "openworkflow");
    measured(
      "a sequential step on PostgreSQL beside DBOS",
      ours / p50("DBOS"),
      { atMost: 0.75, unit: "x" },
      onPostgres,
    );
    measured("the same beside openworkflow", ours / p50("openworkflow"), { atMost: 0.65, unit: "x" });
    told("the same beside a raw INSERT", `${short(ours / p50("raw INSERT"))}x`);
    measured(
      "a sequential step on Redis (everysec) beside Restate",
      p50("Taskloom Redis") / p50("Restate"),
      { atMost: 0.5, unit: "x" },
      ms("raw append", "Taskloom Redis", "Restate"),
    );
  });
}
