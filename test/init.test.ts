/**
 * `taskloom init` in its quick form: the new project is run on the sources of the packages. `pnpm test:matrix` tries it
 * with packed packages on each supported Node and TypeScript.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import rootManifest from "../package.json" with { type: "json" };
import { NODE_FLAGS } from "./support/examples.ts";
import { TaskloomProcess } from "./support/taskloom-process.ts";

const root = join(import.meta.dirname, "..");
const parent = mkdtempSync(join(root, "test", ".examples-"));
const folder = join(parent, "My App");
afterAll(() => rmSync(parent, { recursive: true, force: true }));

const init = (): TaskloomProcess["ended"] => new TaskloomProcess(["init", "My App"], { cwd: parent }).ended;

describe("the files", () => {
  test("are those that a project needs, under their names", async () => {
    const { code, stdout, stderr } = await init();
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("npm start");
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    const files = [
      ".gitignore",
      ".dockerignore",
      "Containerfile",
      "README.md",
      "taskloom.config.ts",
      "src/server.ts",
    ];
    expect(files.filter((file) => !existsSync(join(folder, file)))).toEqual([]);
  });

  test("name the project as its folder, and the versions that this repository is tested with", () => {
    const project = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
      name: string;
      dependencies: Record<string, string>;
      devDependencies: Record<string, string>;
    };
    expect(project.name).toBe("my-app");
    const { version } = JSON.parse(readFileSync(join(root, "apps/worker/package.json"), "utf8")) as {
      version: string;
    };
    const tested: Readonly<Record<string, string>> = rootManifest.devDependencies;
    for (const [name, wanted] of Object.entries({ ...project.dependencies, ...project.devDependencies })) {
      expect(wanted, name).toBe(name.startsWith("@taskloom/") ? `^${version}` : tested[name]);
    }
  });

  test("do not replace files that are there", async () => {
    writeFileSync(join(folder, "src/tasks.ts"), "// mine\n", { flag: "a" });
    const { code, stderr } = await init();
    expect(code).toBe(2);
    expect(stderr).toContain("name another folder");
    expect(readFileSync(join(folder, "src/tasks.ts"), "utf8")).toContain("// mine");
  });
});

const env = {
  ...process.env,
  NODE_OPTIONS: NODE_FLAGS.join(" "),
  HOST: "127.0.0.1",
  PORT: "0",
  TASKLOOM_PORT: "0",
};

test("the tests of a new project pass", { timeout: 120_000 }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["--test", "--test-reporter=tap"], {
    cwd: folder,
    env: { ...env, NODE_TEST_CONTEXT: undefined },
  });
  expect(stdout).toMatch(/^# pass [1-9]/m);
});

test("a new project serves, and stops at SIGTERM", { timeout: 120_000 }, async () => {
  const service = spawn(process.execPath, ["src/start.ts"], {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void service.kill("SIGKILL"));
  const exit = once(service, "exit");
  let web: string | undefined;
  let isWorking = false;
  for await (const line of createInterface({ input: service.stdout })) {
    web ??= /^web server: (\S+)/.exec(line)?.[1];
    isWorking ||= line.includes('"event":"ready"');
    if (web !== undefined && isWorking) break;
  }
  service.stdout.resume();
  const post = (path: string): Promise<Response> => fetch(`${web}${path}`, { method: "POST" });
  expect(await (await fetch(`${web}/digest/a`)).text()).toContain("ca978112");
  expect(await (await post("/mail/ada@example.com")).json()).toEqual({ sent: '"Hello" to ada@example.com' });
  expect((await post("/sign-up/ada@example.com")).status).toBe(202);
  service.kill("SIGTERM");
  expect(await exit).toEqual([0, null]);
});

test("the web server names a port that is in use", { timeout: 120_000 }, async () => {
  const other = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void other.close());
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const started = promisify(execFile)(process.execPath, ["src/server.ts"], {
    cwd: folder,
    env: { ...env, PORT: String(port), TASKLOOM_ENGINE: "memory:" },
  });
  await expect(started).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`port ${port} is in use`),
  });
});
