import type { ChildProcess } from "node:child_process";
import { kill } from "../../child-process.ts";
import { ask, spawned, started, told as message } from "../processes.ts";
import type { Reported } from "../protocol.ts";
import { measured, quantile, short, told } from "../report.ts";
import type { Stage } from "../stage.ts";
import { rounds } from "../turns.ts";
import { parked, submit } from "./parked.ts";

const SIGNALS_PER_ROUND = 200;

/** A signal to a parked run until the run's next step starts in another process. */
export async function signal(stage: Stage): Promise<void> {
  const redis = await latencies((await stage.redis).url);
  const on = (times: readonly number[]): string =>
    `p50 ${short(quantile(times, 0.5))} ms, p99 ${short(quantile(times, 0.99))} ms of ${times.length} signals`;
  measured("signal to the next step of a parked run, Redis, p50", quantile(redis, 0.5), {
    atMost: 3,
    unit: " ms",
  });
  measured("the same, p99", quantile(redis, 0.99), { atMost: 15, unit: " ms" }, on(redis));
  told("the same on PostgreSQL", on(await latencies((await stage.database()).url)));
}

async function latencies(url: string): Promise<number[]> {
  const worker = await started(spawned("taskloom-process.ts", [url, "worker"]));
  const client = await started(spawned("taskloom-process.ts", [url, "client"]));
  try {
    const { ids } = await submit(client, "waiting", SIGNALS_PER_ROUND);
    await parked(worker);
    const times: number[] = [];
    let n = 0;
    for (let round = -1; round < rounds; round++) {
      for (const id of ids) {
        const took = await signalled(worker, client, id, n++);
        if (round >= 0) times.push(took);
      }
      await parked(worker);
    }
    return times;
  } finally {
    await Promise.all([worker, client].map(kill));
  }
}

/** Sends a signal to a run, and returns the time until its next step starts. */
export async function signalled(
  worker: ChildProcess,
  client: ChildProcess,
  id: string,
  n: number,
): Promise<number> {
  const reported = message(worker, "reported") as Promise<Reported>;
  const { at } = await ask(client, { name: "signal", id, n });
  const report = await reported;
  if (report.n !== n) throw new Error(`Expected signal ${n} in the run, got ${report.n}`);
  return report.at - at;
}
