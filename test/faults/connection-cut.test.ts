import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue } from "@taskloom/queue";
import { describe, expect } from "vitest";
import { faultTest, full, measured } from "./support/fault-test.ts";
import { TcpProxy } from "./support/tcp-proxy.ts";
import type { Cut } from "./support/tcp-proxy.ts";
import { marked } from "./support/tasks.ts";

const jobs = full ? 8_000 : 600;
const cuts = full ? 3 : 1;
const cutFor = 5_000;

const test = faultTest.extend<{ proxy: TcpProxy }>({
  proxy: async ({ redis }, use) => {
    const proxy = await TcpProxy.to(redis.url);
    await use(proxy);
    proxy.close();
  },
});

describe.each<{ how: Cut; side: "client" | "worker" }>([
  { how: "reset", side: "client" },
  { how: "reset", side: "worker" },
  { how: "silent", side: "client" },
  { how: "silent", side: "worker" },
])("$how cut of 5 s between $side and Redis", ({ how, side }) => {
  test(
    "everything goes on, nothing hangs, and nothing that had finished runs twice",
    { timeout: 600_000 },
    async ({ redis, proxy, workers, ledger }) => {
      await using queue = new TaskQueue({ engine: side === "client" ? proxy.url : redis.url });
      await queue.connect();
      const [cutOff] = await Promise.all([
        workers.start({ engine: side === "worker" ? proxy.url : redis.url }),
        workers.start({ engine: redis.url }),
      ]);
      const keys = Array.from({ length: jobs }, (_, index) => `job-${index}`);
      let ended = 0;
      const submit = (key: string) => {
        const task = queue.submit(marked, key, 100);
        task.addDoneCallback(() => ended++);
        return task;
      };
      const tasks = keys.slice(0, jobs / 2).map(submit);
      for (let cut = 1; cut <= cuts; cut++) {
        await expect
          .poll(() => ledger.runs().size, { timeout: 60_000, interval: 20 })
          .toBeGreaterThan((cut * jobs) / 4 / (cuts + 1));
        proxy.cut(how);
        // Jobs that were submitted while the connection was cut are sent when it is back.
        if (cut === 1) tasks.push(...keys.slice(jobs / 2).map(submit));
        await delay(cutFor);
        proxy.mend();
        // Without this wait, the next cut would only prolong this one.
        const mendedAt = Date.now();
        const endedBefore = ended;
        const resumed = (): boolean =>
          side === "client"
            ? ended > endedBefore
            : [...ledger.runs().values()].some((runs) =>
                runs.some(({ pid, startedAt }) => pid === cutOff.child.pid && startedAt > mendedAt),
              );
        if (cut < cuts) await expect.poll(resumed, { timeout: 60_000, interval: 100 }).toBe(true);
      }
      const mended = performance.now();
      const values = await Promise.all(tasks);
      const waited = Math.round(performance.now() - mended);
      expect(values).toEqual(keys.map((key, index) => `${key} of ${tasks[index]?.id}`));
      const runs = ledger.runs();
      const again = keys.filter((key) => runs.get(key)?.length !== 1);
      measured(
        `${how}, ${side}: ${jobs} jobs, ${cuts} cuts; all over ${waited} ms after the last mend, ${again.length} ran again`,
      );
      expect(again).toEqual([]);
      expect(cutOff.child.exitCode).toBeNull();
    },
  );
});
