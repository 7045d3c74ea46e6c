import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { PrivateRedis } from "../support/private-redis.ts";
import { taskloom } from "../support/taskloom-process.ts";
import { Service, tasksModule } from "./service.ts";

const password = "S3CRET-of-a-test";

test("no output of a service shows the engine's password: log, 503, settings, doctor, errors", async ({
  skip,
}) => {
  const redis = await PrivateRedis.start().catch(() => undefined);
  if (redis === undefined) return skip("no redis-server on the PATH (Debian: apt-get install redis-server)");
  try {
    const admin = new Redis(redis.url);
    await admin.config("SET", "requirepass", password);
    await admin.quit();
    const engine = `${redis.url}?password=${password}`;
    const printed = await taskloom("worker", tasksModule, "--engine", engine, "--print-config");
    const doctor = await taskloom("doctor", tasksModule, "--engine", engine);
    const ps = await taskloom("ps", "--engine", engine);
    for (const { stdout, stderr } of [printed, doctor, ps]) {
      expect(stdout).toContain("password=***");
      expect(stdout + stderr).not.toContain(password);
    }
    const service = await Service.start(engine);
    await service.submit("test.fail", `cannot reach ${engine}`);
    await redis.kill();
    const answer = await service.ask("GET", "/queues"); // waits until the engine counts as unavailable
    expect(answer.status).toBe(503);
    const body = await answer.text();
    expect(body).toContain("password=***");
    expect(body).not.toContain(password);
    await service.stop();
    const { stdout, stderr } = await service.process.ended;
    expect(stdout).toContain("password=***");
    expect(stdout + stderr).not.toContain(password);
  } finally {
    await redis.stop();
  }
});
