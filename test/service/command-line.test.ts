import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { TaskQueue } from "@taskloom/queue";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { folderTest } from "../support/files.ts";
import { PrivateRedis, freePort } from "../support/private-redis.ts";
import { redisTest } from "../support/redis.ts";
import { TaskloomProcess, taskloom } from "../support/taskloom-process.ts";
import { Service, tasksModule } from "./service.ts";

redisTest(
  "every command, on an engine: people's output, programs' output and exit codes",
  async ({ redis }) => {
    const service = await Service.start(redis.url);
    const run = (...args: string[]): ReturnType<typeof taskloom> => taskloom(...args, "--engine", redis.url);
    try {
      expect(await run("submit", "test.add", "1", "2", "--wait")).toMatchObject({ code: 0, stdout: "3\n" });
      const { stdout } = await run("submit", "test.add", "1", "2");
      expect(stdout).toMatch(/^loop\.[0-9A-Z]{26}\n$/);
      expect(await run("result", stdout.trim(), "--wait")).toMatchObject({ code: 0, stdout: "3\n" });
      expect(await run("submit", "test.fail", '"no disk"', "--wait")).toMatchObject({
        code: 5,
        stderr: expect.stringContaining("no disk") as string,
      });
      expect(await run("submit", "test.add", "one")).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/'"one"'/) as string,
      });
      expect(await run("submit", "test.ad")).toMatchObject({
        code: 4,
        stderr: expect.stringMatching(/Did you mean test\.add\?/) as string,
      });
      expect(await run("result", "loop.none")).toMatchObject({ code: 4 });

      const { id } = await service.submit("test.wait", 120_000);
      await expect.poll(async () => (await run("ps")).stdout, { timeout: 30_000 }).toContain(id);
      expect((await run("tree")).stdout).toMatch(/└─ inner {2}waits for <sleep\(120000\) pending>, \d/);
      expect(await run("result", id, "--wait", "--timeout", "0.1")).toMatchObject({ code: 7 });
      expect(await run("cancel", id, "--reason", "enough")).toMatchObject({
        code: 0,
        stdout: `${id}: cancelled\n`,
      });
      expect(await run("result", id)).toMatchObject({
        code: 6,
        stderr: expect.stringContaining("enough") as string,
      });

      expect(JSON.parse((await run("failed", "--json")).stdout)).toMatchObject([
        { task: "test.fail", count: 1 },
      ]);
      expect((await run("retry", "--task", "test.fail")).stdout).toBe("1 retried\n");
      expect((await run("jobs", "test.wait")).stdout).toContain("cancelled");
      expect(JSON.parse((await run("queues", "--json")).stdout)).toMatchObject({
        default: { isPaused: false },
      });
      expect((await run("queues", "--pause", "default")).stdout).toContain("paused");
      await run("queues", "--resume", "default");
      expect((await run("schedule", "often", "test.add", "1", "1", "--every", "3600")).stdout).toMatch(
        /often.*60 min/,
      );
      expect((await run("schedule", "often", "--remove")).stdout).toBe(
        "often is no longer scheduled; jobs that it has submitted go on\n",
      );
      expect((await run("schedule")).stdout).toBe("nothing is scheduled\n");
      // A service's URL works like an engine's URL.
      expect((await taskloom("ps", "--url", service.address)).stdout).toContain("running");
      expect(await taskloom("ps", "--url", "http://127.0.0.1:1")).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("No service answers") as string,
      });
    } finally {
      await service.stop();
    }
  },
  240_000,
);

redisTest(
  "a delay may be any number of seconds, and its job runs once",
  async ({ redis }) => {
    const service = await Service.start(redis.url);
    const run = (...args: string[]): ReturnType<typeof taskloom> => taskloom(...args, "--engine", redis.url);
    // 16.1 s are 16,100.000000000002 ms, and an engine stores whole milliseconds.
    const { code, stdout } = await run("submit", "test.say", '"later"', "--delay", "16.1");
    expect(code).toBe(0);
    const later = stdout.trim();
    await using queue = new TaskQueue({ engine: redis.url });
    expect(await queue.attach(later).state()).toBe("delayed");
    const client = new Redis(redis.url);
    expect(await client.hget(`taskloom:default.loop:${later}`, "delay")).toBe("16101");
    await client.quit();
    expect(
      await run("submit", "test.say", '"soon"', "--delay", "0.0161", "--id", "soon", "--wait"),
    ).toMatchObject({
      code: 0,
      stdout: '"soon"\n',
    });
    expect(await queue.attach("loop.soon").logs()).toEqual(["soon"]);
    expect(await service.job("loop.soon")).toMatchObject({ state: "completed", attempts: 1 });
    await service.ask("DELETE", `/jobs/${later}`);
    await service.stop();
  },
  120_000,
);

folderTest("a wrong command line: the error, the exit code 2, and no stack", async ({ folder }) => {
  const engine = ["--engine", `embedded:${join(folder, "data")}`];
  const wrong: [string[], RegExp][] = [
    [["wroker"], /Unknown command 'wroker' \(Did you mean worker\?\); see --help/],
    [["submit"], /Missing required argument 'task'/],
    [["submit", "test.add", "one", ...engine], /one is not JSON.*'"one"'/],
    [["submit", "test.add", "--delay", "-1"], /Expected a number from 0/],
    [["schedule", "s", "test.add", "x", "--every", "1", ...engine], /x is not JSON/],
    [["schedule", "s", "test.add", ...engine], /--cron .* or --every/],
    [["jobs", "--state", "lost"], /Allowed choices are waiting/],
    [["retry", ...engine], /ids, --task NAME, or --all/],
    [["ps", "--engine", "rabbit://x"], /is not an engine; use "redis:/],
    [["ps", "--url", "x"], /is not the address of a service/],
    [["worker", ...engine], /Name at least one module/],
    [["worker", "--threads", "0", tasksModule], /Expected --threads to be a whole number from 1/],
  ];
  const ended = await Promise.all(wrong.map(([args]) => taskloom(...args)));
  for (const [index, { code, stderr }] of ended.entries()) {
    const [args, message] = wrong[index]!;
    expect(stderr, args.join(" ")).toMatch(message);
    expect(stderr, args.join(" ")).toMatch(/^taskloom: .*\n$/);
    expect(code, args.join(" ")).toBe(2);
  }
});

test("help of every command, with examples", async () => {
  const { code, stdout, stderr } = await taskloom();
  expect([code, stdout]).toEqual([2, ""]);
  const names = [...stderr.matchAll(/^ {2}([a-z]+) .*(?:\[|<)/gm)].map(([, name]) => name!);
  expect(names).toEqual(expect.arrayContaining(["worker", "submit", "ps", "tree", "doctor", "demo"]));
  const helps = await Promise.all(
    names.filter((name) => name !== "help").map((name) => taskloom(name, "--help")),
  );
  for (const help of helps)
    expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining("Example") as string });
});

folderTest(
  "commands and a second service share the folder of a running embedded worker",
  async ({ folder }) => {
    const engine = `embedded:${join(folder, "data")}`;
    const services = await Promise.all([Service.start(engine), Service.start(engine)]);
    expect(await taskloom("submit", "test.add", "20", "3", "--wait", "--engine", engine)).toMatchObject({
      code: 0,
      stdout: "23\n",
    });
    const pids = async (): Promise<number[]> => {
      const { stdout } = await taskloom("ps", "--json", "--engine", engine);
      return (JSON.parse(stdout) as { pid: number; state: string }[])
        .filter(({ state }) => state === "running")
        .map(({ pid }) => pid);
    };
    const running = services.map((service) => service.process.child.pid!);
    await expect.poll(pids, { timeout: 20_000 }).toEqual(expect.arrayContaining(running));
    const doctor = await taskloom("doctor", tasksModule, "--engine", engine);
    expect(doctor.stdout).toMatch(/ok .*engine.*answered in/);
    expect(doctor.stdout).toMatch(/ok .*workers.*2 running/);
    await Promise.all(services.map((service) => service.stop()));
  },
  120_000,
);

folderTest(
  "one service with three worker processes on an embedded folder",
  async ({ folder }) => {
    const service = await Service.start(`embedded:${join(folder, "data")}`, ["--workers", "3"]);
    const shown = async (): Promise<number> => {
      const workers = (await (await service.ask("GET", "/workers")).json()) as { state: string }[];
      return workers.filter(({ state }) => state === "running").length;
    };
    await expect.poll(shown, { timeout: 20_000 }).toBe(3);
    const jobs = await Promise.all(Array.from({ length: 20 }, (_, n) => service.submit("test.add", n, 1)));
    const ended = await Promise.all(jobs.map(({ id }) => service.job(id, 30)));
    expect(ended.map(({ value }) => value)).toEqual(jobs.map((_, n) => n + 1));
    await service.stop();
    expect((await service.process.ended).code).toBe(0);
  },
  120_000,
);

folderTest(
  "a flag overrides a variable, the variable overrides the file, and secrets are not shown",
  async ({ folder }) => {
    await writeFile(
      join(folder, "taskloom.config.ts"),
      'export default { threads: 2, concurrency: 7, queues: ["mail"], engine: "redis://me:secret@db" };\n',
    );
    const print = (
      env: NodeJS.ProcessEnv,
      ...args: string[]
    ): Promise<{ code: number | null; stdout: string; stderr: string }> =>
      new TaskloomProcess(["worker", "--print-config", "--json", ...args], { cwd: folder, env }).ended;
    const { stdout } = await print(
      { TASKLOOM_THREADS: "3", TASKLOOM_CONCURRENCY: "8", TASKLOOM_TOKEN: "a".repeat(20) },
      "--threads",
      "4",
    );
    const rows = JSON.parse(stdout) as { setting: string; value: unknown; source: string }[];
    const setting = (name: string): unknown => rows.find((row) => row.setting === name);
    expect(setting("threads")).toMatchObject({ value: 4, source: "--threads" });
    expect(setting("concurrency")).toMatchObject({ value: 8, source: "TASKLOOM_CONCURRENCY" });
    expect(setting("queues")).toMatchObject({ value: ["mail"] });
    expect(setting("drain")).toMatchObject({ value: 25, source: "default" });
    expect(stdout).not.toMatch(/secret|aaaa/);
    expect(await print({ TASKLOOM_THREADS: "none" })).toMatchObject({
      code: 2,
      stderr: 'taskloom: Expected TASKLOOM_THREADS to be a whole number from 1, got "none"\n',
    });
    await writeFile(join(folder, "taskloom.config.ts"), "export default { thread: 2 };\n");
    expect(await print({})).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no setting thread\. Did you mean threads\?/) as string,
    });
  },
);

folderTest("a poisoned module, none, one without tasks", async ({ folder }) => {
  const poisoned = join(folder, "poisoned.ts");
  const empty = join(folder, "empty.ts");
  await writeFile(poisoned, 'throw new Error("poison");\n');
  await writeFile(empty, "export {};\n");
  const engine = `embedded:${join(folder, "data")}`;
  const run = (...args: string[]): ReturnType<typeof taskloom> =>
    taskloom("worker", ...args, "--engine", engine, "--port", "0");
  expect(await run(poisoned)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/Cannot load .*poisoned\.ts: poison \(.*poisoned\.ts:1\)/) as string,
  });
  expect(await run(join(folder, "gone.ts"))).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/Cannot load .*gone\.ts: there is no such file/) as string,
  });
  expect(await run()).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("taskloom worker ./tasks.ts") as string,
  });
  expect(await run(empty)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("exports no task") as string,
  });
  expect(await taskloom("doctor", poisoned, "--engine", engine)).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("poison") as string,
  });
});

folderTest(
  "Redis that comes up late is waited for; one that does not come is named",
  async ({ skip }) => {
    const port = await freePort();
    const late = new TaskloomProcess([
      "worker",
      tasksModule,
      "--engine",
      `redis://127.0.0.1:${port}`,
      "--port",
      "0",
      "--threads",
      "1",
    ]);
    await late.printed(/Waiting up to 30 s/);
    const redis = await PrivateRedis.start({ port }).catch(() => undefined);
    if (redis === undefined) {
      await late.kill();
      return skip("no Redis: put redis-server on the PATH");
    }
    await late.printed(/"event":"ready"/);
    expect((await late.kill("SIGTERM")).code).toBe(0);
    await redis.stop();
    const ended = await taskloom(
      "worker",
      tasksModule,
      "--engine",
      `redis://127.0.0.1:${port}`,
      "--port",
      "0",
      "--patience",
      "1",
    );
    expect(ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/Redis at .* cannot be used/) as string,
    });
  },
  60_000,
);
