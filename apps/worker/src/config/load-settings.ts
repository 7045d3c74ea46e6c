import Table from "cli-table3";
import { loadConfigFile } from "./config-file.ts";
import type { ConfigFile } from "./config-file.ts";
import { readSetting, settingRules } from "./settings.ts";
import type { SettingName, SettingRule, Settings } from "./settings.ts";

/** Every setting, and who said it. */
export interface LoadedSettings {
  readonly settings: Settings;
  readonly sources: Readonly<Record<SettingName, string>>;
}

/**
 * Flags go before TASKLOOM_* variables, those before the config file, and that before what holds when nobody says
 * anything.
 */
export async function loadSettings(
  flags: Readonly<Record<string, unknown>>,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<LoadedSettings> {
  const named = (flags["config"] as string | undefined) ?? environment["TASKLOOM_CONFIG"];
  const file = await loadConfigFile(named);
  const settings: Record<string, unknown> = {};
  const sources: Record<string, string> = {};
  for (const rule of settingRules) {
    const [value, source] = pick(rule, flags, environment, file);
    settings[rule.name] = value === undefined ? rule.fallback : readSetting(rule, value, source);
    sources[rule.name] = value === undefined ? "default" : source;
  }
  return { settings: settings as unknown as Settings, sources: sources as LoadedSettings["sources"] };
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

/** Every setting with its value and who said it, for `--print-config`; secrets are hidden. */
export function describeSettings(
  { settings, sources }: LoadedSettings,
  hidePassword: (url: string) => string,
): { readonly setting: string; readonly value: unknown; readonly source: string }[] {
  return settingRules.map(({ name, secret }) => {
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

/** {@link describeSettings} as a table. */
export function settingsTable(rows: ReturnType<typeof describeSettings>): string {
  const table = new Table({
    head: ["setting", "value", "from"],
    style: { head: [], border: [], compact: true },
  });
  for (const { setting, value, source } of rows) {
    table.push([
      setting,
      Array.isArray(value)
        ? value.join(", ")
        : value === null
          ? "-"
          : `${value as string | number | boolean}`,
      source,
    ]);
  }
  return table.toString();
}
