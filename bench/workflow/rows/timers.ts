import { setTimeout as delay } from "node:timers/promises";
import { kill } from "../../child-process.ts";
import { ask, spawned, started } from "../processes.ts";
import { measured, short } from "../report.ts";
import type { Stage } from "../stage.ts";
import { parked, submit, until } from "./parked.ts";

const PARKED = 90_000;
/** The memory of the worker must not depend on the number of parked runs: it is compared at the half and at all of them. */
const HALF = PARKED / 2;
const DUE = 10_000;
const MONTH_MS = 30 * 86_400_000;
/** The time in which the runs that become due are parked first. */
const LEAD_MS = 30_000;

/** 100,000 parked runs on Redis, of which 10,000 become due within one second. */
export async function timers(stage: Stage): Promise<void> {
  const { url } = await stage.redis;
  const worker = await started(spawned("taskloom-process.ts", [url, "worker"]));
  const client = await started(spawned("taskloom-process.ts", [url, "client"]));
  try {
    const { rss: before } = await ask(worker, { name: "state" });
    await submit(client, "sleeper", HALF, Date.now() + MONTH_MS, 0);
    await parked(worker);
    const { rss: half } = await ask(worker, { name: "state" });
    await submit(client, "sleeper", PARKED - HALF, Date.now() + MONTH_MS, 0);
    await parked(worker);
    const due = Date.now() + LEAD_MS;
    await submit(client, "sleeper", DUE, due, 1_000 / DUE);
    await parked(worker);
    const { rss: idle } = await ask(worker, { name: "state" });
    if (Date.now() > due) throw new Error("The machine was too slow to park the runs before they were due");
    await delay(due - Date.now());
    let most = idle;
    await until(async () => {
      const { fired, rss } = await ask(worker, { name: "state" });
      most = Math.max(most, rss);
      return fired === DUE;
    });
    const seconds = (Date.now() - due) / 1_000;
    const mb = (bytes: number): string => `${Math.round(bytes / 1_048_576)} MB`;
    const behind =
      `the worker had ${mb(before)} at its start, ${mb(half)} with ${short(HALF / 1_000)},000 parked runs, ` +
      `${mb(idle)} with ${short((PARKED + DUE) / 1_000)},000, at most ${mb(most)} while they woke`;
    measured(
      "10,000 timers due in one second, until the last fires",
      seconds,
      { atMost: 10, unit: " s" },
      behind,
    );
    measured(
      "the worker's memory with 100,000 parked runs and their wakes beside that with 45,000",
      most / half,
      {
        atMost: 1.25,
        unit: "x",
      },
    );
  } finally {
    await Promise.all([worker, client].map(kill));
  }
}
