import { TaskQueue, TaskWorker, UnrecoverableError, defineTask, openEngine } from "@taskloom/queue";
import { expect } from "vitest";
import { redisTest } from "../support/redis.ts";
import { taskloom } from "../support/taskloom-process.ts";
import type { Ended } from "../support/taskloom-process.ts";
import { tasksModule } from "./service.ts";

const broken = defineTask({ name: "test.broken" }, async (number: number) => {
  throw new UnrecoverableError(`no disk ${number}`);
});

redisTest(
  "a queue that no worker serves is listed, and each command says that it waits",
  async ({ redis }) => {
    const run = (...args: string[]): Promise<Ended> => taskloom(...args, "--engine", redis.url);
    const module = ["--module", tasksModule];
    const submitted = await run(
      "submit",
      "test.add",
      "1",
      "2",
      ...module,
      "--queue",
      "mail",
      "--delay",
      "60",
    );
    expect(submitted).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/No live worker serves queue mail; .*--queue mail/) as string,
    });
    const id = submitted.stdout.trim();
    expect((await run("queues")).stdout).toMatch(/mail\.loop .*no worker/);
    const doctor = await run("doctor");
    expect(doctor.stdout).toMatch(
      /warning\s+queue\s+mail: 1 waiting, 0 failed, 0 live workers; its jobs wait/,
    );
    await run("cancel", id, "--queue", "mail");
    expect((await run("job", id)).stdout).toMatch(/state: +cancelled, never started/);
    expect(await run("jobs", "--queue", "mial")).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/Did you mean mail\?/) as string,
    });
  },
);

redisTest("retry --all puts back every job that failed, however many there are", async ({ redis }) => {
  const engine = openEngine(redis.url);
  await using queue = new TaskQueue({ engine, name: "many" });
  const worker = new TaskWorker({ engine, queues: ["many"], tasks: [broken] });
  const running = worker.run();
  const count = 1_300;
  const jobs = Array.from({ length: count }, (_, number) => queue.submit(broken, number));
  await Promise.allSettled(jobs);
  running.cancel();
  await running.catch(() => {});
  const run = (...args: string[]): Promise<Ended> =>
    taskloom(...args, "--engine", redis.url, "--queue", "many");
  const failed = await run("failed");
  expect(failed.stdout).toMatch(/1,300 .*test\.broken .*no disk/);
  expect(failed.stderr).toMatch(/No live worker serves queue many/);
  const oldest = jobs[0]!.id;
  expect((await run("jobs", oldest, "--json")).stdout).toContain(oldest);
  expect(await run("retry", "--all")).toMatchObject({ code: 0, stdout: "1300 retried\n" });
  expect(await queue.counts()).toMatchObject({ failed: 0, waiting: count });
  expect(await queue.drain()).toBe(count);
  await engine.close();
});

redisTest("retry and cancel of several jobs go on after one that cannot be", async ({ redis }) => {
  const engine = openEngine(redis.url);
  await using queue = new TaskQueue({ engine, name: "several" });
  const running = new TaskWorker({ engine, queues: ["several"], tasks: [broken] }).run();
  const jobs = [1, 2].map((number) => queue.submit(broken, number));
  await Promise.allSettled(jobs);
  running.cancel();
  await running.catch(() => {});
  const [first, last] = jobs.map(({ id }) => id) as [string, string];
  const run = (...args: string[]): Promise<Ended> =>
    taskloom(...args, "--engine", redis.url, "--queue", "several");
  expect(await run("retry", "none", first, first, last)).toMatchObject({
    code: 3,
    stdout: "2 retried\n",
    stderr: expect.stringMatching(/no job none[^]*did not fail for good/) as string,
  });
  expect(await queue.counts()).toMatchObject({ failed: 0, waiting: 2 });
  const cancelled = await run("cancel", first, "none", last);
  expect(cancelled).toMatchObject({ code: 3, stderr: expect.stringMatching(/no job none/) as string });
  expect(cancelled.stdout.match(/cancelled/g)).toHaveLength(2);
  expect(await run("retry", "none")).toMatchObject({ code: 4, stdout: "" });
  await engine.close();
});
