import { writeSync } from "node:fs";
import { TaskQueue, TaskWorker } from "@taskloom/queue";
import { attempted } from "./tasks.ts";

/**
 * A process that works on an embedded folder, one of several. It prints `stored <id>` once a read has found
 * the job, and `done <id>` once its waiter has the result. It continues until it is killed.
 */
const [, , folder = "", prefix = ""] = process.argv;
const say = (line: string): void => void writeSync(1, `${line}\n`);

const queue = new TaskQueue({ engine: `embedded:${folder}` });
const worker = new TaskWorker({ engine: queue.engine, tasks: [attempted], concurrency: 10 });
void worker.run();
await worker.ready();
for (let batch = 0; ; batch++) {
  const tasks = Array.from({ length: 20 }, (_, index) => {
    const id = `${prefix}-${batch}-${index}`;
    return queue.with({ id }).submit(attempted, id, 20);
  });
  const all = tasks.map(async (task) => {
    await task;
    say(`done ${task.id}`);
  });
  await tasks[0]; // All jobs of a turn are stored in one step, so the other jobs are stored as well.
  for (const [id, state] of await queue.states(tasks.map((task) => task.id))) {
    if (state !== "missing") say(`stored ${id}`);
  }
  await Promise.all(all.slice(0, 15)); // the next batch starts while this one still runs
}
