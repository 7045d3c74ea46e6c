import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { didYouMean } from "@taskloom/loop/did-you-mean";
import { settingRules } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** What `taskloom.config.ts` may say; flags and TASKLOOM_* variables go before it. */
export type TaskloomConfig = Partial<Settings>;

/**
 * The default export of a `taskloom.config.ts`, checked by the compiler.
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
 * });
 * ```
 */
export function defineConfig(config: TaskloomConfig): TaskloomConfig {
  return config;
}

const names = ["taskloom.config.ts", "taskloom.config.mts", "taskloom.config.js", "taskloom.config.mjs"];

/** A config file as it was found. */
export interface ConfigFile {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** Loads the file that is named, or the one in the current folder; undefined when there is none. */
export async function loadConfigFile(named: string | undefined): Promise<ConfigFile | undefined> {
  const path = named === undefined ? names.map((name) => resolve(name)).find(existsSync) : resolve(named);
  if (path === undefined) return undefined;
  const fail = (message: string, cause?: unknown): never => {
    throw new CliFailure("CONFIG", `${path}: ${message}`, { exitCode: EXIT_CODES.usage, cause });
  };
  if (!existsSync(path)) fail("there is no such file; correct --config, or leave it out.");
  let loaded: { default?: unknown };
  try {
    loaded = (await import(pathToFileURL(path).href)) as { default?: unknown };
  } catch (error) {
    return fail(`it cannot be loaded: ${(error as Error).message}`, error);
  }
  const values = loaded.default;
  if (typeof values !== "object" || values === null)
    return fail("it has no default export; write `export default defineConfig({ … })`.");
  const known = settingRules.map(({ name }) => name as string);
  for (const key of Object.keys(values)) {
    if (!known.includes(key)) fail(`there is no setting ${key}.${didYouMean(key, known)}`);
  }
  return { path, values: values as Record<string, unknown> };
}
