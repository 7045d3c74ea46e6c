// A worker of durable runs that kills itself at an append: `workflow-worker.ts ENGINE QUEUE APPEND before|after`.
import { TaskWorker } from "@taskloom/queue";
import { tasks } from "./workflow-programs.ts";

const [engine, queue, append, when] = process.argv.slice(2);
const worker = new TaskWorker({ engine: engine!, queues: [queue!], tasks, threads: 1 });
const { journal } = worker.engine;
const store = journal.append.bind(journal);
const dies = Number(append);
let count = 0;
const die = (): void => process.kill(process.pid, "SIGKILL") as unknown as void;
journal.append = async (lane, appends) => {
  const isLast = ++count === dies;
  if (isLast && when === "before") die();
  const answers = await store(lane, appends);
  if (isLast) die();
  return answers;
};
const running = worker.run();
await worker.ready();
process.stdout.write("ready\n");
await running;
