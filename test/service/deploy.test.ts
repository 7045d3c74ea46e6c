import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { validate } from "dockerfile-utils";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { TaskloomProcess } from "../support/taskloom-process.ts";

// These tests need no container engine: they compare the files with the service that they start.

const folder = new URL("../../apps/worker/deploy/", import.meta.url);
const read = (name: string): Promise<string> => readFile(new URL(name, folder), "utf8");

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly build?: { readonly context: string; readonly dockerfile: string };
        readonly command?: readonly string[];
        readonly environment?: Readonly<Record<string, string>>;
        readonly stop_grace_period?: string;
        readonly depends_on?: Readonly<Record<string, unknown>>;
        readonly configs?: readonly { readonly source: string; readonly target: string }[];
        readonly volumes?: readonly string[];
      }
    >
  >;
  readonly configs: Readonly<Record<string, { readonly file?: string }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** Returns the service's settings for variables and flags. */
async function settings(
  env: NodeJS.ProcessEnv,
  ...args: string[]
): Promise<ReadonlyMap<string, { readonly value: unknown; readonly source: string }>> {
  const printed = new TaskloomProcess(["worker", ...args, "--print-config", "--json"], { env });
  const { code, stdout, stderr } = await printed.ended;
  expect(code, stderr).toBe(0);
  const rows = JSON.parse(stdout) as { setting: string; value: unknown; source: string }[];
  return new Map(rows.map((row) => [row.setting, row]));
}

/** The names of the settings that have variables. */
function settingName(variable: string): string {
  return variable
    .slice("TASKLOOM_".length)
    .toLowerCase()
    .replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

test("the container file is one, and what it sets and starts is there", async () => {
  const text = await read("Containerfile");
  expect(validate(text)).toEqual([]);
  const env = Object.fromEntries(
    [...text.matchAll(/(TASKLOOM_[A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name, value]),
  );
  const made = await settings(env as NodeJS.ProcessEnv);
  for (const variable of Object.keys(env)) expect(made.get(settingName(variable))?.source).toBe(variable);
  expect(text).toContain('ENTRYPOINT ["node", "/app/dist/bin.js"]');
  expect(existsSync(new URL("../src/bin.ts", folder))).toBe(true);
});

test("the compose file: every variable is a setting, every name and file is there, stops are waited for", async () => {
  const compose = parse(await read("compose.yaml"), { merge: true }) as Compose;
  const workers = Object.entries(compose.services).filter(([, { command }]) => command?.[0] === "worker");
  expect(workers).toHaveLength(2);
  for (const [
    ,
    { build, command = [], environment = {}, depends_on: needed = {}, stop_grace_period: grace },
  ] of workers) {
    expect(existsSync(new URL(`${build?.context}/${build?.dockerfile}`, folder))).toBe(true);
    const env = { ...environment, TASKLOOM_TOKEN: "x".repeat(16), TASKLOOM_READ_TOKEN: "y".repeat(16) };
    const made = await settings(env, ...command.slice(1));
    for (const variable of Object.keys(environment))
      expect(made.get(settingName(variable))?.source).toBe(variable);
    expect(Number.parseInt(grace ?? "0", 10)).toBeGreaterThan(made.get("drain")?.value as number);
    expect(Object.keys(compose.services)).toEqual(expect.arrayContaining(Object.keys(needed)));
    const { hostname } = new URL(environment["TASKLOOM_ENGINE"]!);
    expect(Object.keys(compose.services)).toContain(hostname);
  }
  expect(existsSync(new URL("tasks/tasks.ts", folder))).toBe(true);
  for (const { configs = [], volumes = [] } of Object.values(compose.services)) {
    expect(Object.keys(compose.configs)).toEqual(expect.arrayContaining(configs.map(({ source }) => source)));
    const named = volumes.map((volume) => volume.split(":", 1)[0]!).filter((name) => /^[a-z]+$/.test(name));
    expect(Object.keys(compose.volumes)).toEqual(expect.arrayContaining(named));
  }
  const prometheus = parse(await read("prometheus.yml")) as {
    scrape_configs: {
      authorization: { credentials_file: string };
      static_configs: { targets: string[] }[];
    }[];
  };
  const [scrape] = prometheus.scrape_configs;
  expect(scrape?.static_configs[0]?.targets).toEqual(workers.map(([name]) => `${name}:7373`));
  expect(compose.services["prometheus"]?.configs?.map(({ target }) => target)).toContain(
    scrape?.authorization.credentials_file,
  );
});

test("the systemd unit starts what there is, and waits longer than it drains", async ({ skip }) => {
  const unit = await read("taskloom-worker.service");
  const [, flags = ""] = /^ExecStart=.*bin\.js worker (.*)$/m.exec(unit) ?? [];
  const made = await settings({}, ...flags.split(" "));
  expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(
    made.get("drain")?.value as number,
  );
  if (!existsSync("/usr/bin/systemd-analyze")) return skip("no systemd-analyze: the unit was not verified");
  const path = fileURLToPath(new URL("taskloom-worker.service", folder));
  const { stderr } = await promisify(execFile)("systemd-analyze", ["verify", path]);
  expect(stderr).not.toContain("taskloom-worker");
});
