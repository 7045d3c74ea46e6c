import { expect } from "vitest";
import { full } from "../faults/support/fault-test.ts";
import { redisTest as test } from "../support/redis.ts";
import { Service } from "./service.ts";
import type { Job } from "./service.ts";

const patience = { timeout: 30_000 };

async function untilActive(service: Service, ids: readonly string[]): Promise<void> {
  for (const id of ids) await expect.poll(async () => (await service.job(id)).state, patience).toBe("active");
}

test("the drain is the limit, also for tasks that ignore their cancellation", async ({ redis }) => {
  const drain = 3;
  for (const workers of full ? ["1", "2"] : ["2"]) {
    const service = await Service.start(redis.url, ["--drain", String(drain), "--workers", workers]);
    const deaf = [
      await service.submit("test.deaf", 600_000),
      await service.submit("test.deafCoroutine", 600_000),
      await service.submit("test.burn", 600_000),
    ];
    const obedient = await service.submit("test.wait", 600_000);
    await untilActive(
      service,
      [...deaf, obedient].map(({ id }) => id),
    );
    service.process.child.kill("SIGTERM");
    await service.process.printed(/"event":"draining"/);
    const told = performance.now();
    expect(await service.process.ended).toMatchObject({ code: 0, signal: null });
    // The stop takes 3 s, or 15 s if it waits for the tasks. A busy machine takes a time in between.
    expect(performance.now() - told).toBeLessThan(10_000);
    // Jobs that react to the cancellation are handed back, and use no attempt.
    const next = await Service.start(redis.url);
    await untilActive(next, [obedient.id]);
    expect(await next.job(obedient.id)).toMatchObject({ attempts: 0 });
    for (const { id } of [...deaf, obedient]) await next.ask("DELETE", `/jobs/${id}`);
    next.process.child.kill("SIGKILL");
    await next.process.ended;
  }
}, 180_000);

test("SIGTERM sends event streams and waiting requests the result of a job that ends during the drain", async ({
  redis,
}) => {
  const service = await Service.start(redis.url, ["--drain", "30"]);
  const short = await service.submit("test.wait", 1_500);
  const queued = await service.submit("test.add", 1, 2);
  expect(queued.id).toContain("loop.");
  await untilActive(service, [short.id]);
  const stream = await service.ask("GET", `/jobs/${short.id}/events`);
  const reading = stream.text();
  const waiting = service.ask("GET", `/jobs/${short.id}?wait=60`);
  const submitting = service.ask("POST", "/tasks/test.wait?wait=60", { args: [1_500] });
  await expect
    .poll(
      async () => ((await (await service.ask("GET", "/queues")).json()) as Queues).default?.loop.active,
      patience,
    )
    .toBe(2);
  const kept = await service.ask("GET", "/healthz"); // a silent connection that stays open
  service.process.child.kill("SIGTERM");
  await service.process.printed(/"event":"draining"/);
  expect(await reading).toMatch(/event: result\n.*\n?data: \{.*"state":"completed".*"value":"waited"/);
  for (const answer of [await waiting, await submitting]) {
    expect(answer.status).toBe(200);
    expect((await answer.json()) as Job).toMatchObject({ state: "completed", value: "waited" });
  }
  expect(kept.status).toBe(200);
  expect(await service.process.ended).toMatchObject({ code: 0, signal: null });
});

test("SIGTERM ends the streams and waits of jobs that outlive the drain, with what is known", async ({
  redis,
}) => {
  const service = await Service.start(redis.url, ["--drain", "0"]);
  const long = await service.submit("test.wait", 600_000);
  await untilActive(service, [long.id]);
  const reading = (await service.ask("GET", `/jobs/${long.id}/events`)).text();
  const waiting = service.ask("GET", `/jobs/${long.id}?wait=60`);
  await service.ask("GET", "/healthz");
  service.process.child.kill("SIGTERM");
  expect(await reading).toContain("event: state");
  const answer = await waiting;
  expect(answer.status).toBe(200);
  expect(["waiting", "active"]).toContain(((await answer.json()) as Job).state);
  expect(await service.process.ended).toMatchObject({ code: 0, signal: null });
});

// Node's own timers turn these times into 1 ms, so the workers were killed in the middle of their jobs.
test("a drain of 2^31 ms and more is waited for, by worker processes too", async ({ redis }) => {
  for (const workers of full ? ["1", "2"] : ["2"]) {
    // In a queue of its own, because this drain would wait for long jobs that earlier tests have left.
    const flags = ["--drain", "3000000", "--workers", workers, "--queue", "long-drain"];
    const service = await Service.start(redis.url, flags);
    const { id } = await service.submit("test.wait", 1_500);
    await untilActive(service, [id]);
    const waiting = service.ask("GET", `/jobs/${id}?wait=60`);
    await service.ask("GET", "/healthz");
    service.process.child.kill("SIGTERM");
    expect((await (await waiting).json()) as Job).toMatchObject({ state: "completed", value: "waited" });
    const { code, stderr } = await service.process.ended;
    expect(stderr).not.toContain("TimeoutOverflowWarning");
    expect(code).toBe(0);
  }
});

interface Queues {
  readonly default?: { readonly loop: { readonly active: number } };
}
