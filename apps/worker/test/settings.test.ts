import { expect, test } from "vitest";
import { loadSettings } from "../src/config/load-settings.ts";
import { asVariables, SETTING_RULES } from "../src/config/settings.ts";

/** For each setting a value that is not the default, in the form of the command line. */
const written: Readonly<Record<string, string>> = {
  engine: "redis://db:6379",
  queues: "mail,pictures",
  workers: "3",
  threads: "7",
  concurrency: "9",
  runs: "15",
  drain: "11",
  patience: "13",
  host: "127.0.0.2",
  port: "7474",
  listen: "unix:/run/taskloom.sock",
  trustProxy: "10.0.0.0/8",
  requestTimeout: "21",
  maxStreams: "23",
  bodyLimit: "4096",
  rateLimit: "17",
  maxLoopDelay: "19",
  maxUtilization: "0.5",
  logLevel: "debug",
  logFormat: "json",
};
const flags = SETTING_RULES.filter(({ flag }) => flag !== undefined && !flag.startsWith("--no-"));

test.each(flags)("$flag can be a variable that is named after it", async ({ name, flag }) => {
  const value = written[name]!;
  const variable = `TASKLOOM_${flag!.slice(2).split(" ")[0]?.replaceAll("-", "_").toUpperCase()}`;
  const byFlag = await loadSettings({ [name === "queues" ? "queue" : name]: value }, {});
  const byVariable = await loadSettings({}, { [variable]: value });
  expect(byVariable.settings).toEqual(byFlag.settings);
  expect(byVariable.sources[name]).toBe(variable);
  expect(byVariable.settings[name]).not.toEqual((await loadSettings({}, {})).settings[name]);
});

test("--no-http can be a variable, and so can its opposite", async () => {
  const http = async (environment: NodeJS.ProcessEnv): Promise<boolean> =>
    (await loadSettings({}, environment)).settings.http;
  expect(await http({ TASKLOOM_NO_HTTP: "1" })).toBe(false);
  expect(await http({ TASKLOOM_NO_HTTP: "false" })).toBe(true);
  expect(await http({ TASKLOOM_HTTP: "false" })).toBe(false);
  await expect(loadSettings({}, { TASKLOOM_NO_HTTP: "maybe" })).rejects.toMatchObject({ code: "SETTING" });
});

test("the older names of variables still work, and the names of the flags override them", async () => {
  const queues = async (environment: NodeJS.ProcessEnv): Promise<readonly string[]> =>
    (await loadSettings({}, environment)).settings.queues;
  expect(await queues({ TASKLOOM_QUEUES: "old" })).toEqual(["old"]);
  expect(await queues({ TASKLOOM_QUEUES: "old", TASKLOOM_QUEUE: "new" })).toEqual(["new"]);
});

test("variables pass the same settings to another process", async () => {
  const { settings } = await loadSettings({ ...written, queue: written["queues"], http: false }, {});
  const { modules: _, ...others } = settings;
  expect((await loadSettings({}, asVariables(others))).settings).toEqual(settings);
});
