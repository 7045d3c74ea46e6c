import type { ChildProcess } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { ask } from "../processes.ts";
import type { Figures, Submitting } from "../protocol.ts";

/** The time in which all runs of a worker must be parked, in milliseconds. */
const LIMIT = 120_000;

/** Submits runs without waiting for their ends. */
export async function submit(
  client: ChildProcess,
  workflow: Submitting["workflow"],
  count: number,
  from = 0,
  each = 0,
): Promise<Figures["submit"]> {
  return await ask(client, { name: "submit", workflow, count, from, each });
}

/** Waits until a worker has had no run in memory at two looks. */
export async function parked(worker: ChildProcess): Promise<void> {
  await until(async () => (await ask(worker, { name: "state" })).resident === 0);
  await delay(100);
  await until(async () => (await ask(worker, { name: "state" })).resident === 0);
}

export async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const limit = performance.now() + LIMIT;
  while (!(await isTrue())) {
    if (performance.now() > limit) throw new Error("The bench waited too long for a state of its processes");
    await delay(50);
  }
}
