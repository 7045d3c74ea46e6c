// A queue with many waiting jobs: node backlog-process.mjs CHECKOUT FILE COUNT
import { pathToFileURL } from "node:url";
import { Queue, Worker } from "bullmq";

const [checkout, path, count] = process.argv.slice(2);
const { createSqliteBackend } = await import(
  pathToFileURL(`${checkout}/packages/bullmq-sqlite/dist/index.js`).href
);
const connection = { path, sync: "normal" }; // the measure is a claim and not the disk
const queue = new Queue("backlog", { connection }, createSqliteBackend);
const worker = new Worker("backlog", null, { connection, autorun: false }, createSqliteBackend);
const atOnce = 1_000;
for (let added = 0; added < Number(count); added += atOnce) {
  await queue.addBulk(Array.from({ length: atOnce }, (_, n) => ({ name: "job", data: { n } })));
}

/** Returns the median time of 400 calls, after 100 calls that do not count. */
async function median(call) {
  const times = [];
  for (let n = -100; n < 400; n++) {
    const from = performance.now();
    await call();
    if (n >= 0) times.push(performance.now() - from);
  }
  return times.toSorted((a, b) => a - b)[200];
}

const claim = await median(async () => {
  if ((await worker.getNextJob("token", { block: false })) === undefined)
    throw new Error("Expected a waiting job, got none");
});
const counts = await median(() => queue.getJobCounts());
process.send({ backlog: { claim, counts } });
