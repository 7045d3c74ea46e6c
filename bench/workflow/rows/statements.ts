import { kill } from "../../child-process.ts";
import { ask, started } from "../processes.ts";
import type { Counts } from "../postgres-counts.ts";
import { counted, short, told } from "../report.ts";
import type { Side, Stage } from "../stage.ts";

const FEW = 100;
/** A run of openworkflow fails at more than 1,000 steps. */
const MANY = 900;

type Counted = "Taskloom PostgreSQL" | "DBOS" | "openworkflow";

/**
 * The statements and flushes of a sequential step: the difference between processes that differ in the number of steps, so
 * that their starts, and the beginning and end of the run, do not count. What a worker does each second counts.
 */
export async function statements(stage: Stage): Promise<void> {
  const postgres = await stage.postgres;
  const total = async (side: Side, count: number): Promise<Counts> => {
    const { name, url } = await stage.database();
    const before = await postgres.counts(name);
    const child = await stage.spawn(side, url);
    await started(child);
    await ask(child, { name: "steps", count });
    await kill(child);
    const { statements: sent, flushes, appends, walBytes } = await postgres.counts(name);
    return {
      statements: sent,
      appends,
      flushes: flushes - before.flushes,
      walBytes: walBytes - before.walBytes,
    };
  };
  const perStep = async (side: Side): Promise<Counts> => {
    const [few, many] = [await total(side, FEW), await total(side, MANY)];
    const each = (key: keyof Counts): number => (many[key] - few[key]) / (MANY - FEW);
    return {
      statements: each("statements"),
      flushes: each("flushes"),
      appends: each("appends"),
      walBytes: each("walBytes"),
    };
  };
  const text = ({ statements: sent, flushes, walBytes }: Counts): string =>
    `${short(sent)} statements, ${short(flushes)} flushes, ${Math.round(walBytes)} bytes of WAL`;
  const sides = {} as Record<Counted, Counts>;
  for (const side of ["Taskloom PostgreSQL", "DBOS", "openworkflow"] as const)
    sides[side] = await perStep(side);
  const ours = sides["Taskloom PostgreSQL"];
  counted("appends of a sequential step", ours.appends, { atMost: 1.005, unit: "" });
  // A worker also looks at its lanes each second. On a slower machine a step has more of that.
  counted("statements of a sequential step", ours.statements, { atMost: 1.1, unit: "" });
  counted("flushes of a sequential step", ours.flushes, { atMost: 1.05, unit: "" });
  for (const side of Object.keys(sides) as Counted[]) told(side, text(sides[side]));
}
