import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { didYouMean } from "@taskloom/loop/did-you-mean";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { SETTING_RULES } from "./settings.ts";
import type { Settings } from "./settings.ts";

/** The settings of a `taskloom.config.ts`. Flags and TASKLOOM_* variables override them. */
export type TaskloomConfig = Partial<Settings>;

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
  const known: readonly string[] = SETTING_RULES.map(({ name }) => name);
  for (const key of Object.keys(values)) {
    if (known.includes(key)) continue;
    throw failure(
      `there is no setting ${key}.${didYouMean(key, known)} The settings are ${known.join(", ")}`,
    );
  }
  return { path, values: { ...values } };
}
