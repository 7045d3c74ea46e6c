import type { ChildProcess } from "node:child_process";
import { Redis } from "ioredis";
import { kill } from "../../child-process.ts";
import { ask, spawned, started } from "../processes.ts";
import { measured } from "../report.ts";
import type { Stage } from "../stage.ts";
import { submit, until } from "./parked.ts";

const RESIDENT = 2_000;
const PARKED = 10_000;

/** The memory of a worker for a run that waits for a signal, and that of Redis for a parked one. */
export async function memory(stage: Stage): Promise<void> {
  const { url } = await stage.redis;
  const worker = await started(spawned("taskloom-process.ts", [url, "worker", String(4 * RESIDENT)]));
  const client = await started(spawned("taskloom-process.ts", [url, "client"]));
  const redis = new Redis(url);
  try {
    const resident = async (count: number): Promise<number> => {
      const { resident: before } = await ask(worker, { name: "state" });
      await submit(client, "resident", count);
      await until(async () => (await ask(worker, { name: "state" })).resident === before + count);
      return (await ask(worker, { name: "state" })).heap;
    };
    const before = await resident(RESIDENT);
    const kilobytes = ((await resident(RESIDENT)) - before) / RESIDENT / 1_024;
    measured("memory of a resident run", kilobytes, { atMost: 10, unit: " KB" });

    const used = async (): Promise<number> =>
      Number(/^used_memory:(\d+)/m.exec(await redis.info("memory"))?.[1] ?? 0);
    await submit(client, "waiting", 1_000);
    await parkedBut(worker, 2 * RESIDENT);
    const empty = await used();
    await submit(client, "waiting", PARKED);
    await parkedBut(worker, 2 * RESIDENT);
    measured("a parked run in Redis", ((await used()) - empty) / PARKED / 1_024, {
      atMost: 1.5,
      unit: " KB",
    });
  } finally {
    await Promise.all([worker, client].map(kill));
    await redis.flushall();
    redis.disconnect();
  }
}

async function parkedBut(worker: ChildProcess, resident: number): Promise<void> {
  await until(async () => (await ask(worker, { name: "state" })).resident === resident);
}
