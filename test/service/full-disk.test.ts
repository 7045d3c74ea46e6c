import { randomBytes } from "node:crypto";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { folderTest, prose, writeFiles } from "../support/files.ts";
import { freePort } from "../support/private-redis.ts";
import { smallDiskTest } from "../support/small-disk.ts";
import { TaskloomProcess, taskloom } from "../support/taskloom-process.ts";
import { Service, tasksModule } from "./service.ts";
import type { Job } from "./service.ts";

// The disk is a file system of its own that is really full, and the kernel reports ENOSPC.

const bytes = 400_000;

smallDiskTest(
  "a full disk below the engine: a submission is refused, what had run is stored when there is room",
  async ({ disk }) => {
    const service = await Service.start(`embedded:${join(disk.path, "data")}`);
    const running = await Promise.all([1, 2, 3].map(() => service.submit("test.fill", bytes, 4_000)));
    const giveBack = disk.fill();
    const refused = await service.ask("POST", "/tasks/test.fill", {
      args: [0, 0, randomBytes(bytes).toString("hex")],
    });
    const answer = (await refused.json()) as { code: string; message: string };
    expect([refused.status, answer.code]).toEqual([507, "ENGINE_FULL"]);
    expect(answer.message).toContain("make room");
    await service.process.printed(/"event":"engine".*database or disk is full/);
    expect((await service.ask("GET", "/healthz")).status).toBe(200);
    giveBack();
    for (const { id } of running) {
      const ended = await service.job(id, 60);
      expect(ended).toMatchObject({ state: "completed", attempts: 1 });
      expect(ended.value).toHaveLength(bytes);
    }
    await service.stop();
    expect((await service.process.ended).code).toBe(0);
  },
);

smallDiskTest(
  "a disk that the engine itself fills: it stays up, and with room all that it took is done",
  async ({ disk }) => {
    const engine = `embedded:${join(disk.path, "data")}`;
    const service = await Service.start(engine);
    const taken: string[] = [];
    for (;;) {
      const answer = await service.ask("POST", "/tasks/test.fill", { args: [bytes] });
      const { id, code } = (await answer.json()) as Job & { readonly code: string };
      if (answer.status !== 201) {
        expect([answer.status, code]).toEqual([507, "ENGINE_FULL"]);
        break;
      }
      taken.push(id);
    }
    const giveBack = disk.fill();
    expect((await service.ask("GET", "/healthz")).status).toBe(200);
    // No new folder can be created there now.
    const args = ["worker", tasksModule, "--engine", `embedded:${join(disk.path, "other")}`, "--port", "0"];
    expect(await taskloom(...args)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/disk is full: make room/) as string,
    });
    giveBack();
    await disk.resize(200);
    expect(taken.length).toBeGreaterThan(20);
    for (const id of taken) expect(await service.job(id, 60)).toMatchObject({ state: "completed" });
    await service.stop();
  },
  240_000,
);

smallDiskTest(
  "the main job on a disk that fills ends with the reason, and goes on when there is room",
  async ({ disk, folder }) => {
    const files = Object.fromEntries(
      Array.from({ length: 400 }, (_, index) => [`${index}.txt`, prose(index, 40_000)]),
    );
    await writeFiles(join(folder, "files"), files);
    const demo = ["demo", join(folder, "files"), "--once", "--port", "0"];
    const args = [...demo, "--engine", `embedded:${join(disk.path, "data")}`];
    const first = new TaskloomProcess(args);
    await first.printed(/400 files below/);
    const giveBack = disk.fill();
    expect(await first.ended).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^taskloom: .*database or disk is full.*make room, and/m) as string,
    });
    giveBack();
    const second = await taskloom(...args);
    expect(second.stderr).toContain("Going on with the run");
    expect(second).toMatchObject({ code: 0, stdout: expect.stringMatching(/total +│ +400/) as string });
  },
  120_000,
);

smallDiskTest(
  "a full disk below the log: the work goes on, and the log says how much of it was lost",
  async ({ disk, folder }) => {
    const log = join(disk.path, "log");
    const port = await freePort();
    const out = openSync(log, "a");
    const giveBack = disk.fill();
    const process = new TaskloomProcess(
      ["worker", tasksModule, "--engine", `embedded:${join(folder, "data")}`, "--port", String(port)],
      { stdout: out },
    );
    closeSync(out);
    await process.printed(/The log cannot be written: ENOSPC.* goes on without it/);
    const add = async (): Promise<string> => {
      const address = `http://127.0.0.1:${port}/tasks/test.add?wait=20`;
      const headers = { "content-type": "application/json" };
      return await (await fetch(address, { method: "POST", headers, body: '{"args":[1,2]}' })).text();
    };
    expect(await add()).toContain('"value":3');
    giveBack();
    expect(await add()).toContain('"value":3');
    expect((await process.kill("SIGTERM")).code).toBe(0);
    const lines = readFileSync(log, "utf8").trim().split("\n");
    const events = lines.map((line) => JSON.parse(line) as { event: string; lost?: number });
    expect(events.map(({ event }) => event)).toEqual(
      expect.arrayContaining(["log", "completed", "draining", "stopped"]),
    );
    expect(events[0]?.lost).toBeGreaterThanOrEqual(2);
  },
);

folderTest(
  "a log that can never be written keeps nothing from running or from ending",
  async ({ folder }) => {
    const port = await freePort();
    const out = openSync("/dev/full", "a");
    const process = new TaskloomProcess(
      ["worker", tasksModule, "--engine", `embedded:${join(folder, "data")}`, "--port", String(port)],
      { stdout: out },
    );
    closeSync(out);
    await process.printed(/The log cannot be written: ENOSPC/);
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
    expect((await process.kill("SIGTERM")).code).toBe(0);
  },
);
