import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue, call } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect } from "vitest";
import { PrivateRedis } from "../support/private-redis.ts";
import { faultTest as test, full, measured, until } from "./support/fault-test.ts";
import { marked, parenting } from "./support/tasks.ts";
import { TcpProxy } from "./support/tcp-proxy.ts";

const jobs = full ? 60 : 30;
const readOnlyFor = full ? 5_000 : 2_000;

/** Makes a server a replica of a primary that does not exist, or a primary again. */
async function replicate(redis: Redis, port: number | undefined): Promise<void> {
  if (port === undefined) await redis.call("REPLICAOF", "NO", "ONE");
  else await redis.call("REPLICAOF", "127.0.0.1", String(port));
}

test(
  `a Redis that is read-only for ${readOnlyFor} ms costs no result and no second run, and floods no log`,
  { timeout: 120_000 },
  async ({ redis, workers, ledger }) => {
    await using queue = new TaskQueue({ engine: redis.url });
    const [first] = await Promise.all([
      workers.start({ concurrency: 50 }),
      workers.start({ concurrency: 50 }),
    ]);
    const keys = Array.from({ length: jobs }, (_, index) => `job-${index}`);
    const tasks = keys.map((key, index) =>
      queue.submit(marked, key, 300 + (index * readOnlyFor * 1.2) / jobs),
    );
    await until("all jobs run", () => ledger.runs().size === jobs);
    using admin = Object.assign(new Redis(redis.url), { [Symbol.dispose]: () => admin.disconnect() });
    const before = first.output.length;
    await replicate(admin, 1);
    const late = [
      queue.submit(marked, "late", 0),
      queue.flow(call(parenting, "parent"), [call(marked, "child", 0)]),
    ];
    await delay(readOnlyFor);
    const printed = first.output.length - before;
    await replicate(admin, undefined);
    expect(await Promise.all(tasks)).toEqual(keys.map((key, index) => `${key} of ${tasks[index]?.id}`));
    await Promise.all(late);
    const runs = [...ledger.runs()].filter(([, each]) => each.length !== 1);
    measured(
      `${jobs} jobs, ${readOnlyFor} ms of READONLY: ${runs.length} ran again; a worker printed ${printed} characters meanwhile`,
    );
    expect(runs).toEqual([]);
    expect(printed).toBeLessThan(20_000);
  },
);

test(
  "a failover that leaves connections open: clients and workers go to the new primary by themselves",
  { timeout: 120_000 },
  async ({ redis, workers, ledger }) => {
    const other = await PrivateRedis.start({ appendonly: true });
    const proxy = await TcpProxy.to(redis.url);
    const [old, next] = [new Redis(redis.url), new Redis(other.url)];
    try {
      await replicate(next, Number(new URL(redis.url).port));
      await using queue = new TaskQueue({ engine: proxy.url });
      await workers.start({ engine: proxy.url });
      await queue.submit(marked, "before", 0);
      const running = Array.from({ length: 10 }, (_, index) =>
        queue.submit(marked, `running-${index}`, 1_500),
      );
      await until("all of them run", () => ledger.runs().size === 11);
      await expect
        .poll(() => next.info("replication"), { timeout: 30_000 })
        .toContain("master_link_status:up");
      await old.wait(1, 5_000);
      await replicate(next, undefined);
      await replicate(old, Number(new URL(other.url).port));
      proxy.leadTo(other.url);
      const after = Array.from({ length: 10 }, (_, index) => queue.submit(marked, `after-${index}`, 10));
      await Promise.all([...running, ...after]);
      expect([...ledger.runs()].filter(([, each]) => each.length !== 1)).toEqual([]);
    } finally {
      old.disconnect();
      next.disconnect();
      proxy.close();
      await other.stop();
    }
  },
);
