// A worker of durable runs that may kill itself: `workflow-worker.ts ENGINE QUEUE LIFE`, with the life as JSON.
import { appendFileSync } from "node:fs";
import { TaskWorker } from "@taskloom/queue";
import { decodeEntry } from "@taskloom/workflow/running";
import { dieAtCommand } from "./die-at-command.ts";
import type { WorkerDeath, WorkerLife } from "./workflow-life.ts";
import { tasks } from "./workflow-programs.ts";
import { waitingTasks } from "./workflow-waits.ts";

const [engine, queue, text] = process.argv.slice(2);
const { dies, runs } = JSON.parse(text!) as WorkerLife;
const worker = new TaskWorker({
  engine: engine!,
  queues: [queue!],
  tasks: [...tasks, ...waitingTasks],
  threads: 1,
  ...(runs && { runs }),
});

const { journal } = worker.engine;
const store = journal.append.bind(journal);
const open = journal.open.bind(journal);
const park = journal.park.bind(journal);
const release = journal.release.bind(journal);
/** A run counts as one in memory until its end is delivered, too. */
const DELIVERED_MS = 500;
/** The runs in memory, with the number of their entries. */
const resident = new Map<string, number>();
let appended = 0;

function die(): void {
  const death: WorkerDeath = { pid: process.pid, at: Date.now(), appended, resident: [...resident] };
  appendFileSync(process.env["TASKLOOM_DEATHS"]!, `${JSON.stringify(death)}\n`);
  process.kill(process.pid, "SIGKILL");
}

journal.open = async (lane, id, ...terms) => {
  const opened = await open(lane, id, ...terms);
  if (opened !== undefined) resident.set(id, opened.length);
  return opened;
};
journal.park = async (lane, id, terms) => {
  const answer = await park(lane, id, terms);
  if (answer !== "news") resident.delete(id);
  return answer;
};
journal.release = async (lane, id, epoch) => {
  resident.delete(id);
  await release(lane, id, epoch);
};
journal.append = async (lane, appends) => {
  for (const { id, at, entries } of appends) resident.set(id, at + entries.length);
  appended += appends.length;
  const isLast = dies !== undefined && "append" in dies && appended >= dies.append;
  if (isLast && dies.when === "before") die();
  const answers = await store(lane, appends);
  if (isLast) die();
  for (const { id, entries } of appends) {
    const last = entries.at(-1);
    if (last !== undefined && decodeEntry(last).commands.some(([mark]) => mark === "e"))
      setTimeout(() => resident.delete(id), DELIVERED_MS).unref();
  }
  return answers;
};

if (dies !== undefined && "command" in dies) dieAtCommand(dies, die);
const running = worker.run();
await worker.ready();
process.stdout.write("ready\n");
await running;
