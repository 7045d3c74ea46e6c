// A program of a user, in a folder with packed packages: import SPECIFIER, bullmq URL, or library ENGINE [alone], which has a worker
// of its own if it is alone.

const [kind, argument, alone] = process.argv.slice(2);
if (kind === "import") {
  const from = performance.now();
  const { user, system } = process.cpuUsage();
  await import(argument);
  const used = process.cpuUsage({ user, system });
  const cpu = (used.user + used.system) / 1_000;
  console.log(JSON.stringify({ time: performance.now() - from, cpu }));
  process.exit();
}
if (kind === "bullmq") {
  const { Worker } = await import("bullmq");
  const { hostname, port } = new URL(argument);
  const worker = new Worker("plain", async () => 1, { connection: { host: hostname, port: Number(port) } });
  await worker.waitUntilReady();
  console.log(`"event":"ready"`);
}
if (kind === "library") {
  const { TaskQueue, TaskWorker } = await import("@taskloom/queue");
  const { increment } = await import("./tasks.mjs");
  if (alone === "alone") {
    const worker = new TaskWorker({ engine: argument, tasks: [increment] });
    worker.run().catch(() => {});
    await worker.ready();
  }
  const queue = new TaskQueue({ engine: argument });
  const times = [];
  for (let n = 0; n < 150; n++) {
    const from = performance.now();
    await queue.submit(increment, n);
    if (n >= 50) times.push(performance.now() - from);
  }
  console.log(JSON.stringify({ p50: times.toSorted((a, b) => a - b)[50] }));
  process.exit();
}
