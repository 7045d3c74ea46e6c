// A worker of durable runs that may kill itself: `workflow-worker.ts ENGINE QUEUE LIFE`, with the life as JSON.
import { appendFileSync } from "node:fs";
import { TaskWorker } from "@taskloom/queue";
import { decodeEntry } from "@taskloom/workflow/running";
import type { WorkerDeath, WorkerLife } from "./workflow-life.ts";
import { tasks } from "./workflow-programs.ts";

const [engine, queue, text] = process.argv.slice(2);
const { dies, runs } = JSON.parse(text!) as WorkerLife;
const worker = new TaskWorker({
  engine: engine!,
  queues: [queue!],
  tasks,
  threads: 1,
  ...(runs && { runs }),
});

const { journal } = worker.engine;
const store = journal.append.bind(journal);
const open = journal.open.bind(journal);
const park = journal.park.bind(journal);
const release = journal.release.bind(journal);
/** The runs in memory, with the number of their entries. */
const resident = new Map<string, number>();
let appended = 0;

function die(): void {
  const death: WorkerDeath = { pid: process.pid, appended, resident: [...resident] };
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
  const isLast = dies !== undefined && appended >= dies.append;
  if (isLast && dies.when === "before") die();
  const answers = await store(lane, appends);
  if (isLast) die();
  for (const { id, entries } of appends) {
    const last = entries.at(-1);
    if (last !== undefined && decodeEntry(last).commands.some(([mark]) => mark === "e")) resident.delete(id);
  }
  return answers;
};

const running = worker.run();
await worker.ready();
process.stdout.write("ready\n");
await running;
