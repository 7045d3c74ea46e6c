import { chmod, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { folderTest as test } from "../support/files.ts";
import { TaskloomProcess, taskloom } from "../support/taskloom-process.ts";
import { tasksModule } from "./service.ts";

test("a service on a Unix socket is this user's alone, and commands reach it", async ({ folder }) => {
  const socket = join(folder, "taskloom.sock");
  const engine = `embedded:${join(folder, "engine")}`;
  const args = ["worker", tasksModule, "--engine", engine, "--threads", "1", "--listen", `unix:${socket}`];
  await chmod(folder, 0o755);
  // With this umask, a new file would be open to all users.
  const umask = process.umask(0);
  const first = new TaskloomProcess(args);
  process.umask(umask);
  await first.printed(/"event":"ready".*"http":"unix:/);
  const { mode } = await stat(socket);
  expect((mode & 0o777).toString(8)).toBe("600");

  const submitted = await taskloom("submit", "test.add", "1", "2", "--wait", "--url", `unix:${socket}`);
  expect(submitted).toMatchObject({ code: 0, stdout: "3\n" });
  // Another process opens the folder itself.
  const listed = await taskloom("jobs", "--engine", engine);
  expect(listed).toMatchObject({ code: 0, stdout: expect.stringContaining("test.add") as string });
  expect((await taskloom("doctor", "--engine", engine)).stdout).toMatch(/ok .*engine.*answered in/);

  const second = await taskloom(...args.with(3, `embedded:${join(folder, "other")}`));
  expect(second).toMatchObject({ code: 1, stderr: expect.stringMatching(/in use.*--listen/) as string });
  // A killed service leaves its socket behind, and the next service replaces it.
  await first.kill("SIGKILL");
  expect((await stat(socket)).isSocket()).toBe(true);
  const nobody = await taskloom("jobs", "--url", `unix:${socket}`);
  expect(nobody).toMatchObject({ code: 1, stderr: expect.stringContaining("No service answers") as string });
  const third = new TaskloomProcess(args);
  await third.printed(/"event":"ready"/);
  expect((await taskloom("queues", "--url", `unix:${socket}`)).code).toBe(0);
  expect(await third.kill("SIGTERM")).toMatchObject({ code: 0 });
  await expect(stat(socket)).rejects.toThrow("ENOENT");
}, 180_000);

test("a socket's path that cannot be is refused, and no file is removed for it", async ({ folder }) => {
  const file = join(folder, "notes.txt");
  await writeFile(file, "mine");
  const start = (path: string): ReturnType<typeof taskloom> =>
    taskloom("worker", tasksModule, "--engine", `embedded:${join(folder, "engine")}`, "--listen", path);
  expect(await start(`unix:${file}`)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("is a file and not a socket") as string,
  });
  expect((await stat(file)).size).toBe(4);
  expect(await start(`unix:${join(folder, "x".repeat(200))}`)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("longer than the") as string,
  });
  expect(await start(`unix:${join(folder, "none", "s.sock")}`)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/cannot be listened on \(\w+\)/) as string,
  });
  expect(await start(file)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("Expected --listen to be unix:") as string,
  });
}, 180_000);
