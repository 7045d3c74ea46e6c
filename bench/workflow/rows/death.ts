import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { kill } from "../../child-process.ts";
import { spawned, started, told as message } from "../processes.ts";
import type { Reported } from "../protocol.ts";
import { measured, median } from "../report.ts";
import type { Stage } from "../stage.ts";
import { rounds } from "../turns.ts";
import { submit } from "./parked.ts";

/** Each death takes as long as a lock, so there are few. */
const DEATHS = Math.min(rounds, 3);

/** A worker is killed while a run has a step under way, until the run's next step starts in another worker. */
export async function death(stage: Stage): Promise<void> {
  const { url } = await stage.redis;
  const times = { redis: [] as number[], postgres: [] as number[], embedded: [] as number[] };
  for (let round = 0; round < DEATHS; round++) {
    times.redis.push(await withSecond(url));
    times.postgres.push(await withSecond((await stage.database()).url));
    times.embedded.push(await reopened());
  }
  measured("kill -9 until the next step starts in another worker, Redis", median(times.redis) / 1_000, {
    atMost: 9.5,
    unit: " s",
  });
  measured("the same on PostgreSQL", median(times.postgres) / 1_000, { atMost: 9.5, unit: " s" });
  measured(
    "kill -9 and an embedded folder opened again, until the next step",
    median(times.embedded) / 1_000,
    { atMost: 1, unit: " s" },
  );
  // The endless runs would go on in the workers of the next rows.
  const redis = new Redis(url);
  await redis.flushall();
  redis.disconnect();
}

const paced = async (child: ChildProcess): Promise<number> =>
  ((await message(child, "paced")) as Reported).at;

async function withSecond(url: string): Promise<number> {
  const [client, first] = (await Promise.all(
    ["client", "worker"].map((role) => started(spawned("taskloom-process.ts", [url, role]))),
  )) as [ChildProcess, ChildProcess];
  const processes = [client, first];
  try {
    await submit(client, "endless", 1);
    await paced(first);
    const second = await started(spawned("taskloom-process.ts", [url, "worker"]));
    processes.push(second);
    await paced(first);
    const taken = paced(second);
    await kill(first);
    const killedAt = performance.timeOrigin + performance.now();
    return (await taken) - killedAt;
  } finally {
    await Promise.all(processes.map(kill));
  }
}

async function reopened(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "taskloom-bench-"));
  const url = `embedded:${folder}/data`;
  const first = await started(spawned("taskloom-process.ts", [url, "both"]));
  try {
    await submit(first, "endless", 1);
    await paced(first);
    await kill(first);
    const second = spawned("taskloom-process.ts", [url, "both"]);
    const [opening, taken] = [message(second, "opening"), paced(second)];
    const time = (await taken) - ((await opening) as number);
    await kill(second);
    return time;
  } finally {
    await kill(first);
    await rm(folder, { recursive: true, force: true });
  }
}
