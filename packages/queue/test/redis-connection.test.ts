import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { TaskQueue, TaskWorker, call, defineTask, openEngine } from "@taskloom/queue";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished } from "vitest";
import { PrivateRedis, freePort } from "../../../test/support/private-redis.ts";
import { ownRedisTest as test } from "../../../test/support/redis.ts";

const double = defineTask({ name: "test.double" }, async (n: number) => n * 2);

/** Runs with the port of a server that is closed behind it. */
async function onPortOf(server: Server, use: (port: number) => Promise<void>): Promise<void> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await use((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

async function failureOf(url: string): Promise<string> {
  const engine = openEngine(url);
  const error: unknown = await engine.connect().catch((reason: unknown) => reason);
  await engine.close();
  expect(error).toMatchObject({ code: "ENGINE_UNAVAILABLE" });
  return (error as Error).message;
}

describe("a connection that cannot be made says why", () => {
  test("a password, a user, rights and a database that are wrong", async ({ redis }) => {
    const admin = new Redis(redis.url);
    await admin.acl("SETUSER", "idle", "on", ">secret", "-@all");
    await admin.config("SET", "requirepass", "geheim");
    const at = redis.url.slice("redis://".length);
    expect(await failureOf(`redis://:wrong@${at}`)).toContain("refuses the user name or the password");
    expect(await failureOf(`redis://eve:geheim@${at}`)).toContain("refuses the user name or the password");
    expect(await failureOf(`redis://${at}`)).toContain("asks for a password, and the address names none");
    expect(await failureOf(`redis://idle:secret@${at}`)).toContain("too few rights");
    expect(await failureOf(`redis://:geheim@${at}/99`)).toContain("no database of that number");
    expect(await failureOf(`redis://:wrong@${at}`)).not.toContain("wrong");
    const engine = openEngine(`redis://:geheim@${at}/1`);
    await engine.connect();
    await engine.close();
    expect(() => openEngine(`redis://${at}/jobs`)).toThrow(expect.objectContaining({ code: "ENGINE_URL" }));
    admin.disconnect();
  });

  test("a server that speaks another protocol, or TLS where none is spoken", async () => {
    await onPortOf(
      createHttpServer((_request, response) => response.end("hello")),
      async (port) => {
        expect(await failureOf(`redis://127.0.0.1:${port}`)).toContain("the server there is not Redis");
        expect(await failureOf(`rediss://127.0.0.1:${port}`)).toContain(
          "it does not speak TLS); use redis:// in place of rediss://",
        );
      },
    );
    const greeting = createServer((socket) => {
      socket.on("error", () => {});
      socket.write("220 mail.example ESMTP\r\n");
    });
    await onPortOf(greeting, async (port) => {
      expect(await failureOf(`redis://127.0.0.1:${port}`)).toContain("the server there is not Redis");
    });
    await onPortOf(
      createServer((socket) => socket.end()),
      async (port) => {
        expect(await failureOf(`redis://127.0.0.1:${port}`)).toContain(
          "closed the connection before it answered",
        );
      },
    );
  });

  test("a server that never answers", async () => {
    await onPortOf(
      createServer((socket) => socket.on("error", () => {})),
      async (port) => {
        expect(await failureOf(`redis://127.0.0.1:${port}`)).toContain("no answer within 5000 ms");
      },
    );
  });

  test("a read-only replica: a worker does not start on it, and one that is writable is used", async ({
    redis,
  }) => {
    const admin = new Redis(redis.url);
    await admin.call("REPLICAOF", "127.0.0.1", "1");
    const worker = new TaskWorker({ engine: redis.url, tasks: [double] });
    const running = worker.run();
    await expect(worker.ready()).rejects.toThrow(/is a read-only replica of 127\.0\.0\.1:1\)/);
    await expect(running).rejects.toMatchObject({ code: "ENGINE_UNAVAILABLE" });
    await admin.config("SET", "replica-read-only", "no");
    const engine = openEngine(redis.url);
    await engine.connect();
    await engine.close();
    admin.disconnect();
  });
});

describe("a first connection that fails is made at the next use", () => {
  test.for([{ openedEarly: false }, { openedEarly: true }])(
    "when Redis comes up later, with BullMQ's queue opened before: $openedEarly",
    async ({ openedEarly }) => {
      const port = await freePort();
      const engine = openEngine(`redis://127.0.0.1:${port}`);
      const bull = openedEarly ? engine.openQueue("late.loop") : undefined;
      const queue = new TaskQueue({ engine, name: "late" });
      await expect(queue.submit(double, 1)).rejects.toMatchObject({ code: "ENGINE_UNAVAILABLE" });
      await expect(queue.counts()).rejects.toMatchObject({ code: "ENGINE_UNAVAILABLE" });
      const redis = await PrivateRedis.start({ port });
      onTestFinished(() => redis.stop());
      await expect
        .poll(
          () =>
            queue.counts().then(
              () => "there",
              () => "not yet",
            ),
          { timeout: 10_000 },
        )
        .toBe("there");
      const worker = new TaskWorker({ engine, queues: ["late"], tasks: [double] }).run();
      expect(await queue.submit(double, 2)).toBe(4);
      expect(await bull?.getJobCounts("completed")).toEqual(openedEarly ? { completed: 1 } : undefined);
      // A connection that was lost is made again as any other, although its first one failed.
      await redis.kill();
      await redis.restart();
      expect(await queue.submit(double, 3)).toBe(6);
      worker.cancel();
      await worker.catch(() => {});
      await queue.close();
      await bull?.close();
      await engine.close();
    },
  );
});

test("a first connection to a cluster that fails is made at the next use", async () => {
  const port = await freePort();
  await using queue = new TaskQueue({ engine: `redis-cluster://127.0.0.1:${port}`, name: "late" });
  await expect(queue.submit(double, 1)).rejects.toThrow(/none of its nodes could be connected to/);
  const redis = await PrivateRedis.start({ port, cluster: true });
  onTestFinished(() => redis.stop());
  const admin = new Redis(redis.url);
  await admin.config("SET", "cluster-announce-ip", "127.0.0.1");
  await admin.cluster("ADDSLOTSRANGE", 0, 16_383);
  await expect.poll(() => admin.cluster("INFO"), { timeout: 20_000 }).toContain("cluster_state:ok");
  admin.disconnect();
  await queue.submit(double, 2).sent();
  expect(await queue.counts()).toMatchObject({ waiting: 1 });
});

describe("scripts that Redis has forgotten", () => {
  test("a flow is added whole after SCRIPT FLUSH, also when some of its scripts are there again", async ({
    redis,
  }) => {
    const admin = new Redis(redis.url);
    await using queue = new TaskQueue({ engine: redis.url, name: "flushed" });
    const worker = new TaskWorker({ engine: redis.url, queues: ["flushed"], tasks: [double] }).run();
    const flow = (): Promise<unknown> =>
      Promise.resolve(queue.flow(call(double, 1), [call(double, 2), call(double, 3)]));
    expect(await flow()).toBe(2);
    for (const again of [false, true]) {
      await admin.script("FLUSH");
      if (again) expect(await queue.submit(double, 5)).toBe(10); // Brings the script that adds children, not the parent's.
      expect(await flow()).toBe(2);
    }
    worker.cancel();
    await worker.catch(() => {});
    admin.disconnect();
  });
});
