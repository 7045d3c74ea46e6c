// One process of Taskloom, from the build of either checkout: node taskloom-process.mjs CHECKOUT ENGINE ROLE
import { pathToFileURL } from "node:url";
import { answer } from "./answer.mjs";

const [checkout, engine, role] = process.argv.slice(2);
const { TaskQueue, TaskWorker, defineTask } = await import(
  pathToFileURL(`${checkout}/packages/queue/dist/index.js`).href
);
let runs = 0;
const increment = defineTask({ name: "bench.increment" }, async (n) => {
  runs++;
  return n + 1;
});

if (role !== "client" && role !== "idle") {
  const worker = new TaskWorker({ engine, tasks: [increment], concurrency: 100, threads: 1, drain: 0 });
  worker.run().catch((error) => {
    throw error;
  });
  await worker.ready();
}
if (role === "worker") {
  process.on("message", ({ name }) => {
    if (name === "runs") process.send({ answer: { runs } });
  });
} else {
  const queue = new TaskQueue({ engine });
  await queue.connect();
  answer(async (n) => await queue.submit(increment, n));
  if (role === "first") {
    if ((await queue.submit(increment, 1)) !== 2) throw new Error("The first result is wrong");
    process.send({ first: true });
  }
}
process.send({ ready: true });
