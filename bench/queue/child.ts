/**
 * One process of a bench: a worker, a client with a slow stream of calls, or a client with many pending
 * tasks.
 */
import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue } from "@taskloom/queue";
import { client, increment, worker } from "./sides.ts";
import type { Side } from "./sides.ts";

const [role, side, url, count, concurrency = "100"] = process.argv.slice(2) as [
  string,
  Side,
  string,
  string,
  string?,
];

if (role === "worker") {
  // With a count, it sends a message when that many jobs have ended, with the processor time in microseconds.
  let done = 0;
  let before = process.cpuUsage();
  const onDone = (): void => {
    if (++done < Number(count)) return;
    done = 0;
    const { user, system } = process.cpuUsage(before);
    before = process.cpuUsage();
    process.send?.({ endedAt: performance.timeOrigin + performance.now(), cpu: user + system });
  };
  await worker(side, url, onDone, Number(concurrency));
  process.send?.({ ready: true });
} else if (role === "trickle") {
  const own = await client(side, url);
  await own.call(1);
  const over = new AbortController();
  process.once("message", () => over.abort());
  const before = process.cpuUsage();
  const start = performance.now();
  process.send?.({ ready: true });
  while (!over.signal.aborted) {
    await own.call(1);
    await delay(50);
  }
  const { user, system } = process.cpuUsage(before);
  process.send?.({ cpu: (user + system) / 1_000 / (performance.now() - start) });
} else if (role === "submitter") {
  const own = await client(side, url);
  await own.pause();
  await own.submit(1_000); // The code is warm then.
  process.send?.({ ready: true });
  process.on("message", () => {
    const before = process.cpuUsage();
    void own.submit(Number(count)).then(() => {
      const { user, system } = process.cpuUsage(before);
      process.send?.({ submitted: user + system });
    });
  });
} else if (role === "pending") {
  const queue = new TaskQueue({ engine: url, name: "pending" });
  await queue.submit(increment, 0).sent();
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed + process.memoryUsage().external;
  const tasks = Array.from({ length: Number(count) }, (_, n) => queue.submit(increment, n));
  await tasks.at(-1)?.sent();
  await delay(100);
  globalThis.gc?.();
  const after = process.memoryUsage().heapUsed + process.memoryUsage().external;
  process.send?.({ bytes: (after - before) / tasks.length });
}
