import { Redis } from "ioredis";
import { kill } from "../../child-process.ts";
import { ask, started } from "../processes.ts";
import { counted, measured, median, short, told } from "../report.ts";
import type { Side, Stage } from "../stage.ts";
import { rounds, timesInTurns } from "../turns.ts";

const STEPS = 1_000;

const sides = [
  "Taskloom PostgreSQL",
  "DBOS",
  "openworkflow, polled each ms",
  "Taskloom Redis",
  "Restate",
] as const satisfies Side[];

/** One run that starts 1,000 empty steps together, from its submission to its end. */
export async function gather(stage: Stage): Promise<void> {
  await appends(stage);
  await stage.with(sides, async (processes) => {
    await timesInTurns(processes, { name: "gather", count: 100 }, 2); // V8 compiles the code.
    const figures = await timesInTurns(processes, { name: "gather", count: STEPS }, rounds);
    const times = sides.map((side) => `${side} ${short(median(figures[side]))} ms`).join(", ");
    const ratio = median(figures.DBOS) / median(figures["Taskloom PostgreSQL"]);
    measured("gather of 1,000 steps on PostgreSQL beside DBOS", ratio, { atLeast: 8, unit: "x" }, times);
  });
}

/**
 * Counts the appends of one gather, when V8 has compiled the code. The ends of the steps share as many appends as are under
 * way one after the other while the steps end, so a slower process has more of them.
 */
async function appends(stage: Stage): Promise<void> {
  const postgres = await stage.postgres;
  const database = await stage.database();
  const child = await stage.spawn("Taskloom PostgreSQL", database.url);
  await started(child);
  const counts: number[] = [];
  for (let round = -2; round < rounds; round++) {
    const before = await postgres.appends(database.name);
    await ask(child, { name: "gather", count: STEPS });
    const count = (await postgres.appends(database.name)) - before;
    if (round >= 0) counts.push(count);
  }
  await kill(child);
  counted("appends of a gather of 1,000 steps", median(counts), { atMost: 4, unit: "" }, counts.join(", "));

  const { url } = await stage.redis;
  const redis = new Redis(url);
  const scripts = async (): Promise<number> => {
    const info = await redis.info("commandstats");
    return Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(info)?.[1] ?? 0);
  };
  await stage.with(["Taskloom Redis"], async (processes) => {
    const redisChild = processes["Taskloom Redis"];
    await ask(redisChild, { name: "gather", count: 10 });
    const before = await scripts();
    await ask(redisChild, { name: "gather", count: STEPS });
    told(
      "scripts that Redis ran for such a run, its submission and end included",
      String((await scripts()) - before),
    );
  });
  redis.disconnect();
}
