import { TaskWorker, defineTask } from "@taskloom/queue";
import { expect } from "vitest";
import { folderTest } from "../support/files.ts";
import { redisTest } from "../support/redis.ts";
import { taskloom } from "../support/taskloom-process.ts";
import { Service, tasksModule } from "./service.ts";

interface SeenWorker {
  readonly slot: string;
  readonly pid: number;
  readonly state: string;
}

async function workersAt(...where: string[]): Promise<SeenWorker[]> {
  return JSON.parse((await taskloom("ps", "--json", ...where)).stdout) as SeenWorker[];
}

redisTest("two services on one host have names of their own", async ({ redis }) => {
  const services = await Promise.all([Service.start(redis.url), Service.start(redis.url)]);
  const workers = await workersAt("--engine", redis.url);
  const slots = workers.map(({ slot }) => slot);
  expect(new Set(slots).size).toBe(2);
  for (const { child } of services.map((service) => service.process))
    expect(slots.some((slot) => slot.endsWith(`:${child.pid}/0`))).toBe(true);
  // The name links to the tree of one worker.
  const { stdout } = await taskloom("tree", slots[0]!, "--engine", redis.url);
  expect(stdout.match(/\(pid \d+\)/g)).toEqual([`(pid ${workers[0]?.pid})`]);
  await Promise.all(services.map((service) => service.stop()));
});

redisTest("a worker of a user's own program is shown, and its tasks need their module", async ({ redis }) => {
  const queue = "seen-own";
  const task = defineTask({ name: "seen.own" }, async () => 1);
  await using worker = new TaskWorker({ engine: redis.url, queues: [queue], tasks: [task] });
  worker.run().catch(() => {});
  await worker.ready();
  const where = ["--engine", redis.url];
  const { stdout } = await taskloom("ps", ...where);
  expect(stdout).toMatch(/worker of another program +│ pid +│ queues +│ tasks/);
  expect(stdout).toMatch(new RegExp(`${process.pid} +│ ${queue} +│ seen\\.own`));
  expect((await taskloom("doctor", ...where)).stdout).toMatch(
    /ok +workers +\d+ running, and \d+ of other programs/,
  );
  const refused = await taskloom("submit", "seen.own", "--queue", queue, ...where);
  expect(refused.stderr).toContain("stores its name only; name its module with --module");
  const every = ["schedule", "seen-add", "test.add", "1", "2", "--every", "3600", "--queue", queue, ...where];
  expect((await taskloom(...every, "--module", tasksModule)).stdout).toContain("seen-add");
  expect((await taskloom("schedule", "seen-add", "--remove", "--queue", queue, ...where)).code).toBe(0);
});

folderTest("on the embedded engine a worker that was killed is shown as dead", async ({ folder }) => {
  const engine = `embedded:${folder}/data`;
  const killed = await Service.start(engine);
  const { pid } = killed.process.child;
  await expect.poll(() => workersAt("--url", killed.address), { timeout: 20_000 }).toHaveLength(1);
  await killed.process.kill("SIGKILL");
  const next = await Service.start(engine);
  const states = async (): Promise<[number, string][]> =>
    (await workersAt("--url", next.address)).map(({ pid: each, state }) => [each, state]);
  await expect.poll(states, { timeout: 20_000 }).toEqual(
    expect.arrayContaining([
      [pid, "dead"],
      [next.process.child.pid, "running"],
    ]),
  );
  await next.stop();
});

redisTest("the log of a failed job has its class, stack and queue", async ({ redis }) => {
  const service = await Service.start(redis.url);
  const { id } = await service.submit("test.fail", "no disk");
  const [line] = await service.process.printed(/^.*"event":"failed".*$/m);
  const logged = JSON.parse(line) as Record<string, unknown>;
  expect(logged).toMatchObject({
    id,
    task: "test.fail",
    queue: "default",
    lane: "loop",
    attempt: 1,
    msg: `job ${id} of task test.fail failed after attempt 1: no disk`,
    err: { type: "UnrecoverableError", message: "no disk", code: "UNRECOVERABLE" },
  });
  expect((logged["err"] as { stack: string }).stack).toContain("tasks.ts");
  await service.stop();
});
