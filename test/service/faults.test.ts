import { expect } from "vitest";
import { PrivateRedis } from "../support/private-redis.ts";
import { redisTest as test } from "../support/redis.ts";
import { taskloom } from "../support/taskloom-process.ts";
import { Service } from "./service.ts";

const jobs = 600;

test("SIGTERM of one worker of three under load: nothing is lost and nothing is tried twice", async ({
  redis,
}) => {
  const services = await Promise.all([1, 2, 3].map(() => Service.start(redis.url)));
  const [first, second, third] = services as [Service, Service, Service];
  const ids: string[] = [];
  const submitting = Promise.all(
    Array.from({ length: 10 }, async () => {
      for (let job = 0; job < jobs / 10; job++) ids.push((await second.submit("test.wait", 50)).id);
    }),
  );
  await expect.poll(() => ids.length, { timeout: 20_000 }).toBeGreaterThan(jobs / 4);
  await first.stop();
  expect((await first.process.ended).code).toBe(0);
  await submitting;
  expect(ids).toHaveLength(jobs);
  const ended = await Promise.all(ids.map((id) => third.job(id, 60)));
  expect(ended.filter(({ state, attempts }) => state !== "completed" || attempts !== 1)).toEqual([]);
  await Promise.all([second.stop(), third.stop()]);
});

test("a worker process that is killed is followed by another, and its job runs there", async ({ redis }) => {
  const service = await Service.start(redis.url, ["--workers", "2"]);
  const workers = async (): Promise<{ pid: number; slot: string; jobs: { id: string }[] }[]> =>
    (await (await service.ask("GET", "/workers")).json()) as never;
  const { id } = await service.submit("test.wait", 3_000);
  await expect
    .poll(async () => (await workers()).flatMap((each) => each.jobs), { timeout: 20_000 })
    .toHaveLength(1);
  const holder = (await workers()).find((worker) => worker.jobs.length === 1);
  process.kill(holder!.pid, "SIGKILL");
  const ps = async (): Promise<string> => (await taskloom("ps", "--engine", redis.url)).stdout;
  await expect.poll(ps, { timeout: 20_000 }).toMatch(new RegExp(`${holder?.pid} +│ dead`));
  expect(await ps()).toMatch(new RegExp(`last job of a silent worker[^]*${id} +│ test\\.wait`));
  await service.process.printed(/"event":"died".*SIGKILL/);
  await expect
    .poll(async () => (await workers()).filter(({ slot }) => slot === holder?.slot).length, {
      timeout: 20_000,
    })
    .toBeGreaterThan(1);
  expect(await service.job(id, 60)).toMatchObject({ state: "completed", value: "waited", recoveries: 1 });
  expect((await taskloom("job", id, "--engine", redis.url)).stdout).toMatch(/^recovered: once: a worker/m);
  const [line] = await service.process.printed(/^.*"event":"recovered".*$/m);
  expect(JSON.parse(line)).toMatchObject({ id, task: "test.wait", attempt: 1, recoveries: 1 });
  await service.stop();
}, 240_000);

test("the second signal ends it at once", async ({ redis }) => {
  const service = await Service.start(redis.url);
  await service.submit("test.wait", 120_000);
  await service.process.printed(/"event":"ready"/);
  service.process.child.kill("SIGTERM");
  await service.process.printed(/"event":"draining"/);
  // A signal within 100 ms would count as the first one, delivered twice.
  const again = setInterval(() => service.process.child.kill("SIGTERM"), 50);
  expect((await service.process.ended).code).toBe(130);
  clearInterval(again);
});

test("while the engine is away it says so, and goes on when it is back", async ({ skip }) => {
  const redis = await PrivateRedis.start({ appendonly: true }).catch(() => undefined);
  if (redis === undefined) return skip("no Redis: put redis-server on the PATH");
  const service = await Service.start(redis.url);
  const { id } = await service.submit("test.add", 1, 2);
  await service.job(id, 10);
  await redis.kill();
  await expect.poll(async () => (await service.ask("GET", "/readyz")).status, { timeout: 20_000 }).toBe(503);
  await expect.poll(async () => (await service.ask("GET", "/queues")).status, { timeout: 20_000 }).toBe(503);
  expect((await service.ask("GET", "/healthz")).status).toBe(200);
  await redis.restart();
  await expect.poll(async () => (await service.ask("GET", "/readyz")).status, { timeout: 20_000 }).toBe(200);
  const again = await service.submit("test.add", 2, 2);
  expect(await service.job(again.id, 20)).toMatchObject({ value: 4 });
  await service.stop();
  await redis.stop();
}, 240_000);

test("a loop that is held takes less, and more again when it is well", async ({ redis }) => {
  // A loop counts as healthy while its delay is below half of the limit, which other processes on the machine
  // rarely cause.
  const service = await Service.start(redis.url, ["--concurrency", "4", "--max-loop-delay", "1000"]);
  // The worker takes up to four jobs in one turn, and they hold the loop one after the other. The limit falls after two bad
  // readings, so there are more jobs than two turns take.
  for (let job = 0; job < 12; job++) await service.submit("test.hog", 1_500);
  await service.process.printed(/"event":"admission","limit":2,/);
  await service.process.printed(/"event":"admission","limit":4,/);
  expect(await (await service.ask("GET", "/metrics")).text()).toMatch(
    /taskloom_admission_reductions\{worker="[^"]+"\} [1-9]/,
  );
  await service.stop();
}, 240_000);
