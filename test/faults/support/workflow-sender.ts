// A sender of signals and cancels that may kill itself: `workflow-sender.ts ENGINE QUEUE FOLDER DEATH`, with the death as JSON.
import { appendFileSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue } from "@taskloom/queue";
import { workflowRun } from "@taskloom/workflow";
import { dieAtCommand } from "./die-at-command.ts";
import type { CommandDeath } from "./die-at-command.ts";
import { numbered } from "./workflow-waits.ts";
import type { Waits } from "./workflow-waits.ts";

/** Milliseconds between two signals of one run: about as long as a run needs to park again. */
const PAUSE_MS = 40;
const AT_ONCE = 25;

const [engine, name, folder, death] = process.argv.slice(2);
const runs = JSON.parse(readFileSync(`${folder}/runs`, "utf8")) as [id: string, waits: Waits][];
const confirmed = new Set(
  readFileSync(`${folder}/confirmed`, "utf8")
    .split("\n")
    .map((line) => line.slice(0, line.lastIndexOf(" "))),
);
const dies = JSON.parse(death!) as CommandDeath | null;
if (dies !== null) dieAtCommand(dies, () => process.kill(process.pid, "SIGKILL"));

const queue = new TaskQueue({ engine: engine!, name: name! });
await queue.engine.connect();
process.stdout.write("ready\n");

/** Sends unless an earlier sender has: its last request may be stored, and not confirmed. */
async function once(what: string, request: () => Promise<void>): Promise<void> {
  if (confirmed.has(what)) return;
  await request().catch((error: unknown) => {
    if ((error as { code?: string }).code !== "RUN_ENDED") throw error;
  });
  appendFileSync(`${folder}/confirmed`, `${what} ${Date.now()}\n`);
  await delay(PAUSE_MS * (0.5 + Math.random()));
}

async function send([id, waits]: [id: string, waits: Waits]): Promise<void> {
  const run = workflowRun(queue, id);
  for (const [n, wait] of waits.entries()) {
    if (wait === "x") await once(`${id} cancel`, () => run.cancel("enough"));
    if (wait === "s" || wait === "x") await once(`${id} ${n}`, () => run.signal(numbered, n));
  }
}

await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let next = runs.shift(); next !== undefined; next = runs.shift()) await send(next);
  }),
);
await queue.close();
