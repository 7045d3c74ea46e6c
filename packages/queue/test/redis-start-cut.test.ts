import { setTimeout as delay } from "node:timers/promises";
import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import { describe, expect, onTestFinished } from "vitest";
import { connectToRenew } from "../src/engines/redis/renewal-connection.ts";
import { ownRedisTest as test } from "../../../test/support/redis.ts";
import { TcpProxy } from "../../../test/faults/support/tcp-proxy.ts";
import type { Cut } from "../../../test/faults/support/tcp-proxy.ts";

const double = defineTask({ name: "test.double" }, async (n: number) => n * 2);

describe.each<Cut>(["reset", "silent"])("a connection that is cut (%s) while it begins", (how) => {
  test("a worker takes jobs as soon as the connection is back", async ({ redis }) => {
    const proxy = await TcpProxy.to(redis.url);
    onTestFinished(() => proxy.close());
    const engine = openEngine(proxy.url);
    await engine.connect();
    proxy.cut(how);
    const worker = new TaskWorker({ engine, tasks: [double], threads: 1, drain: 0 });
    const run = worker.run();
    await delay(1_500);
    proxy.mend();
    await using queue = new TaskQueue({ engine: redis.url });
    expect(await queue.submit(double, 2)).toBe(4);
    run.cancel();
    await run.catch(() => {});
    await engine.close();
  });

  test("locks are renewed as soon as the connection is back", async ({ redis }) => {
    const proxy = await TcpProxy.to(redis.url);
    onTestFinished(() => proxy.close());
    proxy.cut(how);
    const [locks] = connectToRenew({ url: proxy.url, prefix: "test" }, ["jobs"], 500);
    const renewal = locks!.extend(["1"], ["token"], 1_000);
    await delay(1_200); // The first connections fail.
    proxy.mend();
    expect(await renewal).toEqual(["1"]); // There is no such job.
  });
});
