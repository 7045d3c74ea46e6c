import { kill } from "../../child-process.ts";
import { ask, started } from "../processes.ts";
import { counted, measured, median, short, told } from "../report.ts";
import type { Side, Stage } from "../stage.ts";
import { rounds, timesInTurns } from "../turns.ts";

const RUNS = 1_000;
const STEPS = 4;

const sides = [
  "Taskloom PostgreSQL",
  "DBOS",
  "openworkflow",
  "openworkflow, polled each ms",
  "Taskloom Redis",
  "Restate",
] as const satisfies Side[];
type Measured = (typeof sides)[number];

/** 1,000 runs of 4 empty steps, from the first submission to the end of the last run: openworkflow's own benchmark. */
export async function runs(stage: Stage): Promise<void> {
  await stage.with(sides, async (processes) => {
    await timesInTurns(processes, { name: "runs", count: 100, steps: STEPS }, 1); // V8 compiles the code.
    const figures = await timesInTurns(processes, { name: "runs", count: RUNS, steps: STEPS }, rounds);
    const time = (side: Measured): number => median(figures[side]);
    const rate = (...named: Measured[]): string =>
      named.map((side) => `${side} ${Math.round((RUNS * STEPS * 1_000) / time(side))}/s`).join(", ");
    const ours = time("Taskloom PostgreSQL");
    const rates = rate("Taskloom PostgreSQL", "DBOS", "openworkflow", "openworkflow, polled each ms");
    measured(
      "steps/s of 1,000 runs on PostgreSQL beside DBOS",
      time("DBOS") / ours,
      { atLeast: 4, unit: "x" },
      rates,
    );
    measured("the same beside openworkflow", time("openworkflow") / ours, { atLeast: 4, unit: "x" });
    const polled = time("openworkflow, polled each ms") / ours;
    measured("the same beside openworkflow, polled each ms", polled, { atLeast: 4, unit: "x" });
    measured(
      "steps/s of 1,000 runs on Redis beside Restate",
      time("Restate") / time("Taskloom Redis"),
      { atLeast: 1.5, unit: "x" },
      rate("Taskloom Redis", "Restate"),
    );
  });
  await flushes(stage);
}

/** Flushes and bytes of the log in the same work. */
async function flushes(stage: Stage): Promise<void> {
  const postgres = await stage.postgres;
  const spent = async (
    side: Side,
    count: number,
  ): Promise<{ readonly flushes: number; readonly bytes: number }> => {
    const { name, url } = await stage.database();
    const before = await postgres.counts(name);
    const child = await stage.spawn(side, url);
    await started(child);
    await ask(child, { name: "runs", count, steps: STEPS });
    await kill(child);
    const after = await postgres.counts(name);
    return { flushes: after.flushes - before.flushes, bytes: after.walBytes - before.walBytes };
  };
  for (const side of ["Taskloom PostgreSQL", "DBOS", "openworkflow"] as const) {
    const [start, all] = [await spent(side, 1), await spent(side, RUNS + 1)];
    const each = (key: "flushes" | "bytes"): number => (all[key] - start[key]) / (RUNS * STEPS);
    const bytes = `${Math.round(each("bytes"))} bytes of WAL`;
    if (side === "Taskloom PostgreSQL")
      counted("flushes of a step in 1,000 runs", each("flushes"), { atMost: 0.2, unit: "" }, bytes);
    else told(`the same of ${side}`, `${short(each("flushes"))} flushes, ${bytes}`);
  }
}
