import Table from "cli-table3";
import { loadConfigFile } from "./config-file.ts";
import type { ConfigFile, WorkerHooks } from "./config-file.ts";
import { readSetting, SETTING_RULES } from "./settings.ts";
import type { SettingName, SettingRule, Settings } from "./settings.ts";

/** The settings, and the source of each one. */
export interface LoadedSettings {
  readonly settings: Settings;
  readonly sources: Readonly<Record<SettingName, string>>;
  /** The listeners of the config file. */
  readonly hooks: WorkerHooks;
}

/**
 * Returns the settings. A flag overrides a TASKLOOM_* variable, the variable overrides the config file, and the config
 * file overrides the default.
 *
 * @throws {@link CliFailure} if a value or the config file is invalid.
 */
export async function loadSettings(
  flags: Readonly<Record<string, unknown>>,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<LoadedSettings> {
  const { config = environment["TASKLOOM_CONFIG"] } = flags;
  const file = await loadConfigFile(typeof config === "string" ? config : undefined);
  const settings: Partial<Record<SettingName, unknown>> = {};
  const sources: Partial<Record<SettingName, string>> = {};
  for (const rule of SETTING_RULES) {
    const [value, source] = pick(rule, flags, environment, file);
    settings[rule.name] = value === undefined ? rule.fallback : readSetting(rule, value, source);
    sources[rule.name] = value === undefined ? "default" : source;
  }
  return {
    settings: settings as Settings,
    sources: sources as LoadedSettings["sources"],
    hooks: file?.hooks ?? {},
  };
}

function pick(
  { name, variable, oldVariable = variable, isNegated }: SettingRule,
  flags: Readonly<Record<string, unknown>>,
  environment: NodeJS.ProcessEnv,
  file: ConfigFile | undefined,
): [unknown, string] {
  const flagName = name === "queues" ? "queue" : name;
  const flag = flags[flagName];
  if (flag !== undefined && !(flagName === "http" && flag === true)) {
    return [
      flag,
      name === "modules" ? "the modules" : `--${flagName.replaceAll(/[A-Z]/g, (l) => `-${l.toLowerCase()}`)}`,
    ];
  }
  for (const each of [variable, oldVariable]) {
    const value = environment[each];
    if (value === undefined || value === "") continue;
    return [isNegated === true && each === variable ? opposite(value) : value, each];
  }
  const fromFile = file?.values[name];
  return fromFile === undefined ? [undefined, ""] : [fromFile, `${name} in ${file?.path}`];
}

function opposite(value: string): string {
  if (["1", "true", "yes"].includes(value)) return "false";
  return ["0", "false", "no"].includes(value) ? "true" : value;
}

/** Returns the rows of `--print-config`: each setting with its value and its source. Secrets are hidden. */
export function describeSettings(
  { settings, sources }: LoadedSettings,
  hidePassword: (url: string) => string,
): { readonly setting: string; readonly value: Settings[SettingName] | null; readonly source: string }[] {
  return SETTING_RULES.map(({ name, secret }) => {
    const value = settings[name];
    const shown =
      secret === true && value !== undefined
        ? "***"
        : name === "engine"
          ? hidePassword(settings.engine)
          : value;
    return { setting: name, value: shown ?? null, source: sources[name] };
  });
}

/** Returns the rows of {@link describeSettings} as a table. */
export function settingsTable(rows: ReturnType<typeof describeSettings>): string {
  const table = new Table({
    head: ["setting", "value", "source"],
    style: { head: [], border: [], compact: true },
  });
  for (const { setting, value, source } of rows) {
    table.push([
      setting,
      typeof value === "object" && value !== null ? value.join(", ") : String(value ?? "-"),
      source,
    ]);
  }
  return table.toString();
}
