import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { WorkerListeners } from "@taskloom/queue";
import { didYouMean } from "@taskloom/loop/did-you-mean";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { SETTING_RULES } from "./settings.ts";
import type { Settings } from "./settings.ts";

/**
 * The listeners of a worker that a `taskloom.config.ts` can have. They run in each worker process, and an error of one never
 * fails a job.
 */
export type WorkerHooks = Pick<WorkerListeners, (typeof HOOK_NAMES)[number]>;

/** The names of the hooks. */
const HOOK_NAMES = ["onStart", "onJob", "onStep"] as const;

/** The settings and hooks of a `taskloom.config.ts`. Flags and TASKLOOM_* variables override the settings. */
export type TaskloomConfig = Partial<Settings> & WorkerHooks;

/**
 * Returns its argument, whose type the compiler checks. The result is the default export of a `taskloom.config.ts`.
 *
 * @example
 * ```ts
 * import { defineConfig } from "@taskloom/worker";
 *
 * export default defineConfig({
 *   engine: "redis://127.0.0.1:6379",
 *   modules: ["./tasks.ts"],
 *   queues: ["default", "mail"],
 *   threads: 3,
 *   onJob: ({ name, state, duration }) => console.log(`${name} ${state} after ${duration} ms`),
 * });
 * ```
 */
export function defineConfig(config: TaskloomConfig): TaskloomConfig {
  return config;
}

const FILE_NAMES = ["taskloom.config.ts", "taskloom.config.mts", "taskloom.config.js", "taskloom.config.mjs"];

/** The values of a config file, which are not yet checked. */
export interface ConfigFile {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly hooks: WorkerHooks;
}

/**
 * Loads the named config file, or the one in the current folder; returns undefined if there is none.
 *
 * @throws {@link CliFailure} with the code `CONFIG` if the file cannot be used.
 */
export async function loadConfigFile(named: string | undefined): Promise<ConfigFile | undefined> {
  const path =
    named === undefined ? FILE_NAMES.map((name) => resolve(name)).find(existsSync) : resolve(named);
  if (path === undefined) return undefined;
  const failure = (message: string, cause?: unknown): CliFailure =>
    new CliFailure("CONFIG", `${path}: ${message}`, { exitCode: EXIT_CODES.usage, cause });
  if (!existsSync(path)) throw failure("the file does not exist; correct --config, or leave it out");
  let loaded: { readonly default?: unknown };
  try {
    loaded = (await import(pathToFileURL(path).href)) as { default?: unknown };
  } catch (error) {
    throw failure(`the file cannot be loaded: ${(error as Error).message}`, error);
  }
  const { default: values } = loaded;
  if (typeof values !== "object" || values === null)
    throw failure("the file has no default export; write `export default defineConfig({ … })`");
  const known: readonly string[] = [...SETTING_RULES.map(({ name }) => name), ...HOOK_NAMES];
  for (const key of Object.keys(values)) {
    if (known.includes(key)) continue;
    throw failure(
      `there is no setting ${key}.${didYouMean(key, known)} The settings are ${known.join(", ")}`,
    );
  }
  const settings: Record<string, unknown> = { ...values };
  const hooks: Record<string, unknown> = {};
  for (const name of HOOK_NAMES) {
    const hook = settings[name];
    delete settings[name];
    if (hook === undefined) continue;
    if (typeof hook !== "function")
      throw failure(`expected \`${name}\` to be a function of the event, got ${typeof hook}`);
    hooks[name] = hook;
  }
  return { path, values: settings, hooks };
}
