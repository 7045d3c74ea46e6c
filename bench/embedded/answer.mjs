// Answers the bench's requests in a process of either side; see protocol.ts.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";

/**
 * @param {(n: number) => Promise<unknown>} call submits one job and waits for its result.
 * @param {(count: number) => Promise<unknown>} burst submits `count` jobs at once and waits for their
 *   results.
 */
export function answer(
  call,
  burst = (count) => Promise.all(Array.from({ length: count }, (_, n) => call(n))),
) {
  const measures = {
    async burst({ count }) {
      const before = process.cpuUsage();
      const from = performance.now();
      await burst(count);
      const time = performance.now() - from;
      const { user, system } = process.cpuUsage(before);
      return { time, cpu: (user + system) / 1_000 };
    },
    async serial({ count }) {
      const times = [];
      for (let n = 0; n < count; n++) {
        const from = performance.now();
        await call(n);
        times.push(performance.now() - from);
      }
      return { p50: times.toSorted((a, b) => a - b)[Math.floor(count / 2)] };
    },
    async rss() {
      await delay(1_000);
      globalThis.gc?.();
      await delay(200);
      return { bytes: process.memoryUsage().rss };
    },
    async delay({ rate, seconds }) {
      let done = 0;
      const histogram = monitorEventLoopDelay({ resolution: 1 });
      histogram.enable();
      const end = performance.now() + seconds * 1_000;
      const running = [];
      let sent = 0;
      const start = performance.now();
      while (performance.now() < end) {
        const due = Math.floor(((performance.now() - start) / 1_000) * rate);
        for (; sent < due; sent++) running.push(call(sent).then(() => done++));
        await delay(1);
      }
      histogram.disable();
      await Promise.all(running);
      return { p99: histogram.percentile(99) / 1e6, done };
    },
  };
  process.on("message", async (question) => {
    process.send({ answer: await measures[question.name](question) });
  });
}
