// An import of 10,000 rows, each a step. Its worker is killed in the middle, and another one goes on.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gather } from "@taskloom/loop";
import { defineTask, TaskQueue, TaskWorker } from "@taskloom/queue";
import { defineView, defineWorkflow, step, workflowRun } from "@taskloom/workflow";

const importRow = defineTask({ name: "row.import" }, async (row: number) => row % 7);
const done = defineView<number>("done");

/** The rows that are imported at once. */
const BATCH = 500;

export const importAll = defineWorkflow({ name: "import" }, function* (rows: number) {
  let sum = 0;
  for (let from = 0; from < rows; from += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, rows - from) }, (_, at) => step(importRow, from + at));
    for (const value of yield* gather(batch)) sum += value;
    done.set(from + batch.length);
  }
  return sum;
});

function startWorker(engine: string): ChildProcess {
  const file = fileURLToPath(import.meta.url);
  return spawn(process.execPath, [...process.execArgv, file, "worker", engine], { stdio: "inherit" });
}

export async function main(rows = 10_000): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "import-"));
  const engine = `embedded:${folder}`;
  let worker = startWorker(engine);
  const queue = new TaskQueue({ engine });
  const run = workflowRun(queue, queue.submit(importAll, rows));
  let isKilled = false;
  for await (const count of run.views(done)) {
    if (isKilled || count < rows / 2) continue;
    isKilled = true;
    worker.kill("SIGKILL");
    await once(worker, "exit");
    console.log("the worker was killed in the middle");
    worker = startWorker(engine);
  }
  console.log(`sum of ${rows} rows: ${await run.result()}`);
  worker.kill("SIGINT");
  await once(worker, "exit");
  await queue.close();
  await rm(folder, { recursive: true, force: true });
}

if (import.meta.main) {
  const [role, engine = ""] = process.argv.slice(2);
  if (role === "worker")
    await new TaskWorker({ engine, tasks: [importAll, importRow] }).run().then(undefined, () => {});
  else await main();
}
