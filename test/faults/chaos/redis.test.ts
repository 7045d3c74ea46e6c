import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import type { PrivateRedis } from "../../support/private-redis.ts";
import { faultTest, full } from "../support/fault-test.ts";
import { chaosRun } from "./chaos-run.ts";
import type { Fault } from "./chaos-run.ts";
import { workerFaults } from "./worker-faults.ts";

const test = faultTest.extend<{ admin: Redis }>({
  admin: async ({ redis }, use) => {
    const admin = new Redis(redis.url, { maxRetriesPerRequest: null });
    admin.on("error", () => {}); // its server is killed on purpose
    await use(admin);
    admin.disconnect();
  },
});

/**
 * The faults of the full form, each in a run of its own. The short form combines several faults in one run.
 */
const faults: Readonly<Record<string, (admin: Redis, redis: PrivateRedis) => Fault>> = {
  "killed and restarted": (_, redis) => async (workers) => {
    await delay(5_000);
    await workers.withoutEngine(async () => {
      await redis.kill();
      await delay(1_000);
      await redis.restart();
    });
  },
  ...workerFaults,
  "CLIENT KILL every 400 ms": (admin) => async () => {
    await admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await delay(400);
  },
  "READONLY for 3 s": (admin) => async () => {
    await admin.call("REPLICAOF", "127.0.0.1", "1");
    await delay(3_000);
    await admin.call("REPLICAOF", "NO", "ONE");
    await delay(3_000);
  },
  "out of memory for 2 s": (admin) => async () => {
    await admin.config("SET", "maxmemory", "1mb");
    await delay(2_000);
    await admin.config("SET", "maxmemory", "0");
    await delay(2_000);
  },
  "SCRIPT FLUSH every 100 ms": (admin) => async () => {
    await admin.script("FLUSH");
    await delay(100);
  },
};

async function mend(admin: Redis): Promise<void> {
  await admin.call("REPLICAOF", "NO", "ONE");
  await admin.config("SET", "maxmemory", "0");
}

for (const [name, makeFault] of full ? Object.entries(faults) : []) {
  test(`chaos on Redis: ${name}`, { timeout: 600_000 }, async ({ redis, admin, folder }) => {
    await chaosRun(`redis, ${name}`, redis.url, folder, makeFault(admin, redis), () => mend(admin));
  });
}

test("chaos on Redis: every fault in turn", { timeout: 600_000 }, async ({ redis, admin, folder }) => {
  const quick = ["CLIENT KILL every 400 ms", "SCRIPT FLUSH every 100 ms"].map((name) =>
    faults[name]?.(admin, redis),
  );
  await chaosRun(
    "redis, mixed",
    redis.url,
    folder,
    async (workers) => {
      for (const fault of quick) await fault?.(workers);
      await workers.replaceOldest();
      await admin.call("REPLICAOF", "127.0.0.1", "1");
      await delay(1_000);
      await admin.call("REPLICAOF", "NO", "ONE");
      await delay(500);
      await workers.withoutEngine(async () => {
        await redis.kill();
        await redis.restart();
        await delay(500);
      });
    },
    () => mend(admin),
  );
});
