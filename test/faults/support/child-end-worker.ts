// A worker of the jobs of durable runs that kills itself behind a stored end: `child-end-worker.ts ENGINE QUEUE`.
import { TaskWorker } from "@taskloom/queue";
import { childTasks } from "./child-end-tasks.ts";

const [engine, queue] = process.argv.slice(2);
const die = (): void => process.kill(process.pid, "SIGKILL") as unknown as void;
const worker = new TaskWorker({
  engine: engine!,
  queues: [queue!],
  tasks: childTasks,
  // The turn is answered by then.
  onJob: (job) => {
    if (job.state !== "retrying") die();
  },
});
// Nothing is delivered behind the turn.
worker.engine.journal.deliver = async () => {
  die();
  return await new Promise<never>(() => {});
};
const running = worker.run();
await worker.ready();
process.stdout.write("ready\n");
await running;
