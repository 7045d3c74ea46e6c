import { availableParallelism } from "node:os";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { numberFrom, wholeNumberFrom } from "./number-checks.ts";
import { trustedProxies } from "./trusted-proxies.ts";

/** The settings of a worker service. */
export interface Settings {
  readonly engine: string;
  readonly queues: readonly string[];
  readonly modules: readonly string[];
  readonly threads: number;
  readonly concurrency: number;
  readonly runs: number;
  /** Seconds. */
  readonly drain: number;
  readonly workers: number;
  readonly host: string;
  readonly port: number;
  /** `unix:PATH`, in place of `host` and `port`. */
  readonly listen: string | undefined;
  /** Addresses and ranges of proxies whose `X-Forwarded-For` counts. */
  readonly trustProxy: readonly string[];
  readonly http: boolean;
  readonly token: string | undefined;
  readonly readToken: string | undefined;
  /** Bytes. */
  readonly bodyLimit: number;
  /** Requests per second of one client. */
  readonly rateLimit: number;
  /** Seconds in which a whole request has to arrive. */
  readonly requestTimeout: number;
  /** Event streams and requests with `wait` that can be open at once. */
  readonly maxStreams: number;
  /** Milliseconds. */
  readonly maxLoopDelay: number;
  /** 0 to 1. */
  readonly maxUtilization: number;
  /** Seconds. */
  readonly patience: number;
  readonly logLevel: string;
  /** `auto` is `human` on a terminal, and `json` elsewhere. */
  readonly logFormat: "auto" | "human" | "json";
}

export type SettingName = keyof Settings;

/** The flag, the variable, the check and the default of one setting. */
export interface SettingRule {
  readonly name: SettingName;
  /** The flag in the form of commander; undefined if the setting has no flag. */
  readonly flag: string | undefined;
  /** The variable, which has the name of the flag. */
  readonly variable: string;
  /** The former name of the variable, which still works. */
  readonly oldVariable?: string;
  /** True if the flag and its variable negate the setting: `--no-http`, TASKLOOM_NO_HTTP=1. */
  readonly isNegated?: true;
  readonly description: string;
  readonly fallback: unknown;
  readonly secret?: true;
  /**
   * Returns the setting for a text, or for a value of the config file.
   *
   * @throws TypeError with the expected value as its message.
   */
  parse(value: unknown): unknown;
}

/** The settings, in the order of the help. */
export const SETTING_RULES: readonly SettingRule[] = [
  rule(
    "engine",
    "--engine <url>",
    "the engine that stores the jobs: redis://…, postgres://… or embedded:FOLDER",
    "embedded:.taskloom",
    text,
  ),
  rule("queues", "--queue <names>", "the queues to serve, separated by commas", ["default"], list),
  rule("modules", undefined, "modules that export tasks made by defineTask", [], list),
  rule("workers", "--workers <number>", "number of worker processes", 1, wholeNumberFrom(1)),
  rule(
    "threads",
    "--threads <number>",
    "threads of each worker, for blocking tasks",
    Math.max(1, availableParallelism() - 1),
    wholeNumberFrom(1),
  ),
  rule(
    "concurrency",
    "--concurrency <number>",
    "cooperative tasks of each queue that a worker runs at once",
    100,
    wholeNumberFrom(1),
  ),
  rule(
    "runs",
    "--runs <number>",
    "durable runs of each queue that a worker has in memory at once",
    1_000,
    wholeNumberFrom(1),
  ),
  rule(
    "drain",
    "--drain <seconds>",
    "the time for a stop; running jobs go on until shortly before its end",
    25,
    numberFrom(0),
  ),
  rule(
    "patience",
    "--patience <seconds>",
    "the time to wait at the start for an engine that does not answer yet",
    30,
    numberFrom(0),
  ),
  rule(
    "host",
    "--host <address>",
    "the address to listen on; an address other than loopback needs a token",
    "127.0.0.1",
    text,
  ),
  rule(
    "port",
    "--port <number>",
    "the HTTP port; 0 takes any free port, and so does the default if it is in use",
    7373,
    wholeNumberFrom(0),
  ),
  rule(
    "listen",
    "--listen <unix:path>",
    "a Unix socket for this user alone, in place of --host and --port",
    undefined,
    unixSocket,
  ),
  rule(
    "trustProxy",
    "--trust-proxy <addresses>",
    "proxies whose X-Forwarded-For counts: addresses, ranges such as 10.0.0.0/8, or loopback",
    [],
    proxies,
  ),
  rule("http", "--no-http", "serve no HTTP address", true, yesOrNo),
  {
    ...rule("token", undefined, "the token that permits everything (operate)", undefined, secret),
    secret: true,
  },
  {
    ...rule("readToken", undefined, "the token that permits reading (read)", undefined, secret),
    secret: true,
  },
  rule("bodyLimit", "--body-limit <bytes>", "the largest body of a request", 1_048_576, wholeNumberFrom(1)),
  rule("rateLimit", "--rate-limit <number>", "requests per second of one client", 5_000, wholeNumberFrom(1)),
  rule(
    "requestTimeout",
    "--request-timeout <seconds>",
    "the time in which a whole request has to arrive",
    30,
    numberFrom(0.1),
  ),
  rule(
    "maxStreams",
    "--max-streams <number>",
    "event streams and requests with wait that can be open at once",
    1_000,
    wholeNumberFrom(1),
  ),
  rule(
    "maxLoopDelay",
    "--max-loop-delay <ms>",
    "the loop lane runs fewer jobs above this delay of the event loop",
    250,
    numberFrom(1),
  ),
  rule(
    "maxUtilization",
    "--max-utilization <share>",
    "the loop lane runs fewer jobs above this share of busy time, 0 to 1; 1 turns this off",
    1,
    share,
  ),
  rule("logLevel", "--log-level <level>", "trace, debug, info, warn, error, fatal or silent", "info", level),
  rule(
    "logFormat",
    "--log-format <format>",
    "human, json, or auto: human on a terminal, JSON elsewhere",
    "auto",
    logFormat,
  ),
];

function rule(
  name: SettingName,
  flag: string | undefined,
  description: string,
  fallback: unknown,
  parse: (value: unknown) => unknown,
): SettingRule {
  const ownName = `TASKLOOM_${name.replaceAll(/[A-Z]/g, "_$&").toUpperCase()}`;
  const flagName = flag === undefined ? undefined : /^--([\w-]+)/.exec(flag)?.[1];
  const variable =
    flagName === undefined ? ownName : `TASKLOOM_${flagName.replaceAll("-", "_").toUpperCase()}`;
  const isNegated = flagName?.startsWith("no-") === true ? ({ isNegated: true } as const) : {};
  const oldVariable = variable === ownName ? {} : { oldVariable: ownName };
  return { name, flag, variable, ...oldVariable, ...isNegated, description, fallback, parse };
}

function text(value: unknown): string {
  if (typeof value !== "string" || value === "") throw new TypeError("a text that is not empty");
  return value;
}

function secret(value: unknown): string {
  if (typeof value !== "string" || value.length < 16) throw new TypeError("at least 16 characters");
  return value;
}

function list(value: unknown): readonly string[] {
  const items = typeof value === "string" ? value.split(",").map((item) => item.trim()) : value;
  if (
    !Array.isArray(items) ||
    items.length === 0 ||
    !items.every((item): item is string => typeof item === "string" && item !== "")
  )
    throw new TypeError("names, as a list or separated by commas");
  return items;
}

function unixSocket(value: unknown): string {
  if (typeof value !== "string" || !/^unix:./.test(value))
    throw new TypeError("unix: and the path of a socket, such as unix:/run/taskloom.sock");
  return value;
}

function proxies(value: unknown): readonly string[] {
  const names = Array.isArray(value) && value.length === 0 ? [] : list(value);
  try {
    trustedProxies(names);
  } catch {
    throw new TypeError("addresses or ranges of proxies, such as 10.0.0.2, 10.0.0.0/8 or loopback");
  }
  return names;
}

function share(value: unknown): number {
  const result = numberFrom(0)(value);
  if (result > 1) throw new TypeError("a number from 0 to 1");
  return result;
}

function yesOrNo(value: unknown): boolean {
  if (value === true || value === "true" || value === "1" || value === "yes") return true;
  if (value === false || value === "false" || value === "0" || value === "no") return false;
  throw new TypeError("true or false");
}

const LEVELS: readonly string[] = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

function logFormat(value: unknown): string {
  if (value !== "auto" && value !== "human" && value !== "json")
    throw new TypeError("one of auto, human, json");
  return value;
}

function level(value: unknown): string {
  if (typeof value !== "string" || !LEVELS.includes(value))
    throw new TypeError(`one of ${LEVELS.join(", ")}`);
  return value;
}

/** Returns the default settings. */
export function defaultSettings(): Settings {
  const settings: Partial<Record<SettingName, unknown>> = {};
  for (const { name, fallback } of SETTING_RULES) settings[name] = fallback;
  return settings as Settings;
}

/** Returns settings as the variables that pass them to another process. */
export function asVariables(settings: Partial<Settings>): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const { name, variable, isNegated } of SETTING_RULES) {
    const value = settings[name];
    if (value === undefined) continue;
    const written = isNegated === true ? value !== true : value;
    variables[variable] = Array.isArray(written) ? written.join(",") : String(written);
  }
  return variables;
}

/**
 * Checks one value, and returns the setting.
 *
 * @param where the place of the value, such as a flag or a variable.
 * @throws {@link CliFailure} with the code `SETTING` if the value is invalid.
 */
export function readSetting(each: SettingRule, value: unknown, where: string): unknown {
  try {
    return each.parse(value);
  } catch (error) {
    const got = each.secret === true ? "something else" : JSON.stringify(value);
    throw new CliFailure("SETTING", `Expected ${where} to be ${(error as Error).message}, got ${got}`, {
      exitCode: EXIT_CODES.usage,
      cause: error,
    });
  }
}
