/** The worker of one side: `child.ts SIDE URL…`. It sends the number of its completed jobs on request. */
import { TaskWorker, defineTask } from "@taskloom/queue";
import { Worker } from "bullmq";
import { Redis } from "ioredis";

const [side, ...urls] = process.argv.slice(2);
const servers = urls.map((url) => url.slice("redis://".length));
let completed = 0;
const work = defineTask({ name: "bench.shards" }, async (n: number) => {
  completed++;
  return n;
});

if (side === "Taskloom") {
  const worker = new TaskWorker({
    engine: `redis://${servers.join(",")}`,
    tasks: [work],
    concurrency: 100 * urls.length,
  });
  worker.run().catch(() => {});
  await worker.ready();
} else {
  // BullMQ has no shards: a queue and a worker for each server.
  for (const url of urls) {
    const connection = new Redis(url, { maxRetriesPerRequest: null });
    const worker = new Worker(
      "raw",
      async (job) => {
        completed++;
        return job.data as number;
      },
      { connection, concurrency: 100, removeOnComplete: { age: 3_600 } },
    );
    await worker.waitUntilReady();
  }
}
process.on("message", () => process.send?.({ completed }));
process.on("disconnect", () => process.exit());
process.send?.({ ready: true });
