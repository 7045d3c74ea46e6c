// One process of BullMQ on Redis, used as its documentation recommends: node bullmq-process.mjs URL ROLE
import { Queue, QueueEvents, Worker } from "bullmq";
import { Redis } from "ioredis";
import { answer } from "./answer.mjs";

const [url, role] = process.argv.slice(2);
const connect = () => new Redis(url, { maxRetriesPerRequest: null });
const keep = { removeOnComplete: { age: 3_600 }, removeOnFail: { age: 3_600 } };
const name = `raw-${role === "both" ? process.pid : "pair"}`;

if (role !== "client") {
  const worker = new Worker(name, async (job) => job.data.n + 1, { connection: connect(), concurrency: 100 });
  await worker.waitUntilReady();
}
if (role !== "worker") {
  const queue = new Queue(name, { connection: connect() });
  queue.setMaxListeners(0);
  const events = new QueueEvents(name, { connection: connect() });
  events.setMaxListeners(0);
  await events.waitUntilReady();
  answer(
    async (n) => await (await queue.add("increment", { n }, keep)).waitUntilFinished(events),
    async (count) => {
      const jobs = await queue.addBulk(
        Array.from({ length: count }, (_, n) => ({ name: "increment", data: { n }, opts: keep })),
      );
      await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
    },
  );
}
process.send({ ready: true });
