import { expect } from "vitest";
import { postgresTest } from "../support/postgres.ts";
import { taskloom } from "../support/taskloom-process.ts";
import { Service } from "./service.ts";

const patience = { timeout: 20_000 };

postgresTest(
  "the service on PostgreSQL: HTTP, commands, pages, two processes, and a stop",
  async ({ postgres }) => {
    const service = await Service.start(postgres, ["--workers", "2"]);
    const run = (...args: string[]): ReturnType<typeof taskloom> => taskloom(...args, "--engine", postgres);

    const { id } = await service.submit("test.add", 1, 2);
    expect(await service.job(id, 20)).toMatchObject({ state: "completed", value: 3 });
    expect(await run("submit", "test.add", "20", "3", "--wait")).toMatchObject({ code: 0, stdout: "23\n" });
    expect(await run("submit", "test.burn", "1", "--wait")).toMatchObject({ code: 0 });
    expect(await run("result", id)).toMatchObject({ code: 0, stdout: "3\n" });
    expect(await run("submit", "test.fail", '"no disk"', "--wait")).toMatchObject({ code: 5 });
    expect((await run("retry", "--all")).stdout).toBe("1 retried\n");

    const waiting = await service.submit("test.wait", 120_000);
    await expect.poll(async () => (await run("tree")).stdout, patience).toMatch(/waits for <sleep\(120000\)/);
    expect((await run("ps")).stdout.match(/running/g)).toHaveLength(2);
    expect(await run("cancel", waiting.id, "--reason", "enough")).toMatchObject({ code: 0 });
    expect(await service.job(waiting.id)).toMatchObject({ state: "cancelled", reason: "enough" });

    for (const path of [
      "/",
      "/board/",
      "/board/api/queues",
      "/queues",
      "/workers",
      "/failed",
      "/schedules",
      "/readyz",
    ])
      expect((await service.ask("GET", path)).status, path).toBe(200);
    expect(await (await service.ask("GET", "/metrics")).text()).toContain(
      'taskloom_queue_jobs{queue="default",lane="loop",state="completed"}',
    );
    expect((await run("doctor")).stdout).toMatch(/ok +engine +postgres:.*\n(?:.*\n)*ok +workers +2 running/);

    await service.stop();
    expect((await service.process.ended).code).toBe(0);
  },
  120_000,
);

postgresTest(
  "the log names neither passwords nor, unless asked to, arguments",
  async ({ postgres }) => {
    const url = new URL(postgres);
    if (url.password === "") url.password = "hunter2"; // a server that trusts this user does not ask for it
    const argument = `mysql://app:${url.password}@db/x 4111-1111 ${"x".repeat(5_000)}`;
    const log = async (level: string): Promise<string> => {
      const service = await Service.start(url.href, ["--log-level", level]);
      const { id } = await service.submit("test.fail", argument);
      await service.job(id, 20);
      const added = await service.submit("test.add", "4222-2222", 2);
      await service.job(added.id, 20);
      await service.stop();
      const { stdout, stderr } = await service.process.ended;
      return stdout + stderr;
    };
    const info = await log("info");
    expect(info).toContain("test.fail");
    expect(info).not.toMatch(/4222-2222|:hunter2/);
    const debug = await log("debug");
    expect(debug).toContain('"args":"[\\"4222-2222\\",2]"');
    expect(debug).toContain("mysql://app:***@db/x");
    expect(debug).not.toContain(`:${url.password}@`);
    const [started = ""] = /^.*"event":"started".*test\.fail.*$/m.exec(debug) ?? [];
    expect(started.length).toBeGreaterThan(1_000);
    expect(started.length).toBeLessThan(1_500);
  },
  120_000,
);
