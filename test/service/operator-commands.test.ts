import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { TaskQueue } from "@taskloom/queue";
import { test as base, describe, expect, vi } from "vitest";
import { ServiceError } from "../../apps/worker/src/errors/service-error.ts";
import { ServiceHere, command } from "./in-process.ts";
import * as tasks from "./fixtures/tasks.ts";

/** One service for all tests of this file, since its start takes longer than the commands. */
const serviceTest = base.extend<{ service: ServiceHere }>({
  service: [
    // oxlint-disable-next-line no-empty-pattern -- vitest reads the pattern to know what the fixture needs
    async ({}, use) => {
      const folder = await mkdtemp(join(tmpdir(), "taskloom-test-"));
      const service = await ServiceHere.open(`embedded:${join(folder, "jobs")}`, [tasks]);
      await use(service);
      await service[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
    { scope: "file" },
  ],
});

interface Operated {
  readonly queue: TaskQueue;
  readonly run: typeof command;
}

/** Runs the commands on an engine's URL, and through the address of a service. */
const places = ["an engine", "a service"].map((name) => ({
  name,
  test: serviceTest.extend<{ operated: Operated }>({
    operated: async ({ service }, use) => {
      await using queue = new TaskQueue({ engine: service.engine });
      const where = name === "an engine" ? ["--engine", service.engine.url] : ["--url", service.address];
      await use({ queue, run: (...args) => command(...args, ...where) });
    },
  }),
}));

describe.each(places)("through $name", ({ test }) => {
  test("submit has the options of a submission, and reads an argument from standard input", async ({
    operated: { run, queue },
    service,
  }) => {
    await queue.pause();
    const stdin = vi.spyOn(process, "stdin", "get").mockReturnValue(Readable.from(["40\n"]) as never);
    const flags = ["--run-timeout", "5", "--attempts", "3", "--backoff", "exponential:1:60"];
    const folded = ["--deduplicate", "sum", "--deduplicate-for", "60", "--tag", "eu,new"];
    const { stdout } = await run("submit", "test.add", "-", "2", ...flags, ...folded);
    stdin.mockRestore();
    const id = stdout.trim();
    expect((await run("submit", "test.add", "1", "1", ...folded)).stdout.trim()).toBe(id);
    const job = await service.operations.lane("default", "loop").getJob(id);
    expect(job?.data).toMatchObject({ args: [40, 2], tags: ["eu", "new"] });
    await queue.resume();
    expect(await queue.attach(id)).toBe(42);
    for (const [message, ...wrong] of [
      ["Expected fixed:SECONDS or exponential:SECONDS", "--backoff", "linear:1"],
      ["--deduplicate KEY", "--deduplicate-for", "5"],
      ["Only one argument can be -", "-", "-"],
    ])
      expect(await run("submit", "test.add", ...wrong), message).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(message!) as string,
      });
  });

  test("submit names the key of the limits of a task, and limits shows their slots and their waiting jobs", async ({
    operated: { run, queue },
  }) => {
    const submit = async (...flags: string[]): Promise<string> =>
      (await run("submit", "test.sync", '"ada"', "60000", ...flags)).stdout.trim();
    // The function of the worker has the key of a submission without one.
    const ids = [
      await submit("--limit-key", "eu: ada"),
      await submit("--limit-key", "eu: ada"),
      await submit(),
    ];
    const limit = { kind: "concurrency", task: "test.sync", max: 1, taken: 1, lane: "loop" };
    await expect
      .poll(() => queue.taskLimits(), { timeout: 10_000 })
      .toEqual([
        { ...limit, key: "ada", waiting: 0 },
        { ...limit, key: "eu: ada", waiting: 1 },
      ]);
    const { stdout } = await run("limits");
    expect(stdout).toMatch(
      /test\.sync .* "eu: ada" .* default\.loop .* 1 at once .* 1 .* 1 [^]*test\.sync .* "ada"/,
    );
    expect(await run("limits", "--limit", "1")).toMatchObject({
      stdout: expect.not.stringContaining('"ada"') as string,
      stderr: "taskloom: There are 2 limits of tasks in use; --limit shows more\n",
    });
    expect(JSON.parse((await run("limits", "--limit", "1", "--json")).stdout)).toEqual({
      queues: [],
      tasks: [{ ...limit, queue: "default", key: "eu: ada", waiting: 1 }],
      total: 2,
    });
    expect((await run("limits", "--task", "test.add")).stdout).toBe("no limit of a task is in use\n");
    expect(await run("limits", "--queue", "mial")).toMatchObject({ code: 4 });
    await run("cancel", ...ids);
    await expect.poll(() => queue.taskLimits(), { timeout: 10_000 }).toEqual([]);
    for (const [key, message] of [
      ["ada", "Expected task test.add to have a limit with a `key`"],
      ["a".repeat(257), "limitKey"],
    ])
      expect(await run("submit", "test.add", "1", "2", "--limit-key", key!)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(message!) as string,
      });
  });

  test("limit sets, shows and lifts the rate limit of a queue", async ({ operated: { run } }) => {
    expect(await run("limit", "default", "100", "--per", "60")).toMatchObject({
      code: 0,
      stdout: "Each lane of queue default starts at most 100 per 60.0 s, on all workers together\n",
    });
    expect((await run("queues")).stdout).toMatch(/default\.loop .* 100 per 60\.0 s/);
    expect((await run("limit", "default", "--json")).stdout).toBe(
      `${JSON.stringify({ queue: "default", limit: { max: 100, per: 60_000 } }, null, 2)}\n`,
    );
    expect((await run("limits")).stdout).toBe(
      "Each lane of queue default starts at most 100 per 60.0 s, on all workers together\nno limit of a task is in use\n",
    );
    expect((await run("limit", "default", "--off")).stdout).toBe("Queue default has no limit\n");
    expect(await run("limit", "mial", "1")).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("There is no queue mial") as string,
    });
    for (const wrong of [["--per", "60"], ["5", "--off"], ["0"], ["5", "--per", "0"]])
      expect(await run("limit", "default", ...wrong), wrong.join(" ")).toMatchObject({ code: 2 });
  });

  test("drain cancels the waiting jobs of a queue, and the delayed ones if it is told to", async ({
    operated: { run, queue },
  }) => {
    await queue.pause();
    const jobs = [0, 0, 60_000].map((delay) => queue.with({ delay }).submit(tasks.add, 1, 2));
    const ends = Promise.allSettled(jobs);
    await Promise.all(jobs.map((job) => job.sent()));
    expect(await run("drain", "default")).toMatchObject({
      code: 0,
      stdout: "2 waiting jobs of queue default cancelled; running jobs go on\n",
    });
    expect(JSON.parse((await run("drain", "default", "--delayed", "--json")).stdout)).toEqual({
      queue: "default",
      drained: 1,
    });
    expect((await ends).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(await run("drain", "none")).toMatchObject({ code: 4 });
    await queue.resume();
  });

  test("remove and clean take out jobs that do not run", async ({ operated: { run, queue } }) => {
    await queue.pause();
    const jobs = [0, 0, 0, 60_000].map((delay) => queue.with({ delay }).submit(tasks.add, 1, 2));
    const ends = Promise.allSettled(jobs);
    await Promise.all(jobs.map((job) => job.sent()));
    expect(await run("remove", jobs[0]!.id)).toMatchObject({ code: 0, stdout: "1 removed\n" });
    expect(await run("remove", jobs[0]!.id)).toMatchObject({ code: 4 });
    expect(await run("clean", "default", "--state", "waiting", "--limit", "1")).toMatchObject({
      code: 0,
      stdout: "1 waiting jobs of queue default removed\n",
    });
    expect(JSON.parse((await run("clean", "default", "--state", "waiting", "--json")).stdout)).toEqual({
      queue: "default",
      removed: 1,
    });
    const older = ["clean", "default", "--state", "delayed"];
    expect((await run(...older, "--older-than", "3600")).stdout).toMatch(/^0 delayed/);
    expect((await run(...older, "--task", "test.none")).stdout).toMatch(/^0 delayed/);
    expect((await run(...older)).stdout).toMatch(/^1 delayed/);
    await ends;
    await queue.resume();
    const running = queue.submit(tasks.wait, 60_000);
    await expect.poll(() => running.state(), { timeout: 10_000 }).toBe("active");
    expect(await run("remove", running.id, "loop.none")).toMatchObject({
      code: 3,
      stdout: "0 removed\n",
      stderr: expect.stringMatching(/cannot be removed while it is active[^]*no job loop\.none/) as string,
    });
    running.cancel();
    await Promise.allSettled([running]);
    expect(await run("clean", "default")).toMatchObject({ code: 2 });
  });

  test("logs prints the lines of a job, and follows a running one to its end", async ({
    operated: { run, queue },
  }) => {
    const job = queue.submit(tasks.count, 3, 200);
    expect(await run("logs", job.id, "--follow")).toMatchObject({
      code: 0,
      stdout: "counted 1\ncounted 2\ncounted 3\n",
    });
    expect(await job).toBe(3);
    expect((await run("logs", job.id)).stdout).toBe("counted 1\ncounted 2\ncounted 3\n");
    expect((await run("logs", job.id, "--follow", "--json")).stdout).toBe(
      '"counted 1"\n"counted 2"\n"counted 3"\n',
    );
    expect(await run("logs", "loop.none")).toMatchObject({ code: 4 });
  });

  test("promote lets delayed jobs run, and a schedule runs now, pauses, resumes and goes", async ({
    operated: { run, queue },
  }) => {
    const delayed = queue.with({ delay: 3_600_000 }).submit(tasks.add, 40, 2);
    await delayed.sent();
    expect(await run("promote", delayed.id)).toMatchObject({ code: 0, stdout: "1 promoted\n" });
    expect(await delayed).toBe(42);
    expect(await run("promote", "loop.none")).toMatchObject({ code: 4 });
    await run("schedule", "yearly", "test.add", "1", "2", "--cron", "0 0 1 1 *");
    const { stdout } = await run("run-now", "yearly");
    expect(await queue.attach(stdout.trim())).toBe(3);
    expect((await run("schedule", "yearly", "--pause")).stdout).toContain("is paused");
    expect((await run("schedule")).stdout).toMatch(/yearly.*paused/);
    expect((await run("schedule", "yearly", "--resume")).code).toBe(0);
    expect((await run("schedule")).stdout).not.toMatch(/yearly.*paused/);
    expect((await run("schedule", "--pause")).stderr).toContain("Name the schedule");
    expect(await run("run-now", "none")).toMatchObject({ code: 4 });
    expect((await run("schedule", "yearly", "--remove")).code).toBe(0);
  });

  test("a watch shows its view again until a signal, and goes on after a failure", async ({
    operated: { run },
    service,
  }) => {
    await run("schedule", "often", "test.add", "1", "1", "--every", "3600");
    const read = vi.spyOn(service.operations, "schedules");
    read
      .mockResolvedValueOnce([])
      .mockRejectedValueOnce(new ServiceError(503, "BUSY", "The service is busy"));
    setTimeout(() => process.emit("SIGINT"), 1_000);
    const { code, stdout, stderr } = await run("schedule", "--watch", "0.1", "--json");
    const views = stdout.trim().split("\n");
    expect(code).toBe(0);
    expect(views.length).toBeGreaterThan(1);
    expect(JSON.parse(views.at(-1)!)).toMatchObject([{ id: "often", task: "test.add" }]);
    // The commands on an engine read it by themselves.
    if (read.mock.calls.length > 0) expect(stderr).toBe("taskloom: The service is busy\n");
    read.mockRestore();
    expect(await run("queues", "--watch", "0")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("Expected a number from 0.1") as string,
    });
  });
});
