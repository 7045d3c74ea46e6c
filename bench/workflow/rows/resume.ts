import type { ChildProcess } from "node:child_process";
import { kill } from "../../child-process.ts";
import { ask, spawned, started, told as message } from "../processes.ts";
import { measured, median, short } from "../report.ts";
import type { Stage } from "../stage.ts";
import { rounds } from "../turns.ts";
import { parked, submit } from "./parked.ts";
import { signalled } from "./signal.ts";

const SHORT = 1_000;
const LONG = 10_000;

/** A run with a history is woken in a worker that does not have it, until its next step starts. */
export async function resume(stage: Stage): Promise<void> {
  const times = {
    short: [] as number[],
    long: [] as number[],
    postgres: [] as number[],
    dbos: [] as number[],
  };
  const redis = (await stage.redis).url;
  for (let round = 0; round < rounds; round++) {
    times.short.push(await ours(redis, SHORT));
    times.postgres.push(await ours((await stage.database()).url, SHORT));
    times.dbos.push(await dbos(stage, SHORT));
    times.long.push(await ours(redis, LONG));
  }
  const [few, many] = [median(times.short), median(times.long)];
  measured("resume with 1,000 steps, Redis", few, { atMost: 30, unit: " ms" });
  measured("resume with 10,000 steps, Redis", many, { atMost: 300, unit: " ms" });
  measured("10,000 steps beside 1,000", many / few, { atMost: 12, unit: "x" });
  const [postgres, peer] = [median(times.postgres), median(times.dbos)];
  const behind = `Taskloom PostgreSQL ${short(postgres)} ms, DBOS ${short(peer)} ms`;
  measured(
    "resume with 1,000 steps beside DBOS, on PostgreSQL",
    peer / postgres,
    { atLeast: 10, unit: "x" },
    behind,
  );
}

async function ours(url: string, steps: number): Promise<number> {
  const client = await started(spawned("taskloom-process.ts", [url, "client"]));
  const processes: ChildProcess[] = [client];
  try {
    const first = await started(spawned("taskloom-process.ts", [url, "worker"]));
    processes.push(first);
    const [warm, measuredRun] = [
      (await submit(client, "waiting", 20, 200)).ids,
      (await submit(client, "waiting", 1, steps)).ids[0]!,
    ];
    await signalled(first, client, measuredRun, 1);
    await parked(first);
    await kill(first);
    const second = await started(spawned("taskloom-process.ts", [url, "worker"]));
    processes.push(second);
    // V8 compiles the code with other runs: a worker that takes runs over has run others before.
    for (const [n, id] of warm.entries()) await signalled(second, client, id, n);
    const took = await signalled(second, client, measuredRun, 2);
    // A step whose end is not stored would run again in the next round, whose signals it would disturb.
    await parked(second);
    return took;
  } finally {
    await Promise.all(processes.map(kill));
  }
}

/** DBOS recovers its runs at its start. Its time begins with the run's code, so it has nothing of the start. */
async function dbos(stage: Stage, steps: number): Promise<number> {
  const { url } = await stage.database();
  const life = async (body: (child: ChildProcess) => Promise<void>): Promise<number> => {
    const child = await stage.spawn("DBOS", url);
    const hanging = message(child, "hanging");
    try {
      await started(child);
      await body(child);
      return (await hanging) as number;
    } finally {
      await kill(child);
    }
  };
  await life(async (child) => {
    await ask(child, { name: "hang", count: steps });
  });
  return await life(async () => {});
}
