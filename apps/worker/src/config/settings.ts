import { availableParallelism } from "node:os";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { trustedProxies } from "./trusted-proxies.ts";

/** Everything that a worker service can be told. Durations are in the unit that the description names. */
export interface Settings {
  readonly engine: string;
  readonly queues: readonly string[];
  readonly modules: readonly string[];
  readonly threads: number;
  readonly concurrency: number;
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
  /** Requests a second of one client. */
  readonly rateLimit: number;
  /** Seconds in which a whole request has to arrive. */
  readonly requestTimeout: number;
  /** Event streams and requests with `wait` that are open at once. */
  readonly maxStreams: number;
  /** Milliseconds. */
  readonly maxLoopDelay: number;
  /** 0 to 1. */
  readonly maxUtilization: number;
  /** Seconds. */
  readonly patience: number;
  readonly logLevel: string;
}

export type SettingName = keyof Settings;

/** One setting: how it is written, where, and what it is when nobody says. */
export interface SettingRule {
  readonly name: SettingName;
  /** As commander takes it; undefined for what is not a flag. */
  readonly flag: string | undefined;
  /** The variable that is named after the flag. */
  readonly variable: string;
  /** The variable's former name, which still counts. */
  readonly oldVariable?: string;
  /** Whether the flag and the variable of its name say no: `--no-http`, TASKLOOM_NO_HTTP=1. */
  readonly isNegated?: true;
  readonly description: string;
  readonly fallback: unknown;
  readonly secret?: true;
  /** From text or from the value in a config file. Throws with what was expected. */
  parse(value: unknown): unknown;
}

/** The command line's options that pick a worker's settings, in the order in which help shows them. */
export const settingRules: readonly SettingRule[] = [
  rule(
    "engine",
    "--engine <url>",
    "where jobs are kept: redis://…, postgres://… or embedded:FOLDER",
    "embedded:.taskloom",
    text,
  ),
  rule(
    "queues",
    "--queue <names>",
    "the queues to take jobs from, with commas between them",
    ["default"],
    list,
  ),
  rule("modules", undefined, "modules that export tasks made by defineTask", [], list),
  rule("workers", "--workers <number>", "worker processes", 1, whole(1)),
  rule(
    "threads",
    "--threads <number>",
    "threads of each worker for blocking tasks",
    Math.max(1, availableParallelism() - 1),
    whole(1),
  ),
  rule(
    "concurrency",
    "--concurrency <number>",
    "cooperative tasks of each queue that run at once in a worker",
    100,
    whole(1),
  ),
  rule(
    "drain",
    "--drain <seconds>",
    "how long the stop may take: running jobs go on until shortly before",
    25,
    number(0),
  ),
  rule(
    "patience",
    "--patience <seconds>",
    "how long to wait at the start for an engine that is not up yet",
    30,
    number(0),
  ),
  rule(
    "host",
    "--host <address>",
    "the address to listen on; any other than loopback needs a token",
    "127.0.0.1",
    text,
  ),
  rule(
    "port",
    "--port <number>",
    "the HTTP port; 0 takes any free one, and so does the default when it is in use",
    7373,
    whole(0),
  ),
  rule(
    "listen",
    "--listen <unix:path>",
    "a Unix socket in place of --host and --port, for this user alone",
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
  rule("http", "--no-http", "no HTTP address at all", true, yesOrNo),
  {
    ...rule("token", undefined, "the token that may do everything (operate)", undefined, secret),
    secret: true,
  },
  { ...rule("readToken", undefined, "the token that may only look (read)", undefined, secret), secret: true },
  rule("bodyLimit", "--body-limit <bytes>", "the largest body of a request", 1_048_576, whole(1)),
  rule("rateLimit", "--rate-limit <number>", "requests a second that one client may make", 5_000, whole(1)),
  rule(
    "requestTimeout",
    "--request-timeout <seconds>",
    "in how many seconds a whole request has to arrive",
    30,
    number(0.1),
  ),
  rule(
    "maxStreams",
    "--max-streams <number>",
    "event streams and requests with wait that are open at once",
    1_000,
    whole(1),
  ),
  rule(
    "maxLoopDelay",
    "--max-loop-delay <ms>",
    "above this delay of the event loop the loop lane takes less",
    250,
    number(1),
  ),
  rule(
    "maxUtilization",
    "--max-utilization <share>",
    "above this share of busy time, 0 to 1, the loop lane takes less; 1 never",
    1,
    share,
  ),
  rule("logLevel", "--log-level <level>", "trace, debug, info, warn, error, fatal or silent", "info", level),
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
    items.some((item) => typeof item !== "string" || item === "")
  )
    throw new TypeError("names, as a list or with commas between them");
  return items as string[];
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

function number(least: number): (value: unknown) => number {
  return (value) => {
    const result = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    if (typeof result !== "number" || !Number.isFinite(result) || result < least)
      throw new TypeError(`a number from ${least}`);
    return result;
  };
}

function whole(least: number): (value: unknown) => number {
  return (value) => {
    const result = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    if (!Number.isSafeInteger(result) || (result as number) < least)
      throw new TypeError(`a whole number from ${least}`);
    return result as number;
  };
}

function share(value: unknown): number {
  const result = number(0)(value);
  if (result > 1) throw new TypeError("a number from 0 to 1");
  return result;
}

function yesOrNo(value: unknown): boolean {
  if (value === true || value === "true" || value === "1" || value === "yes") return true;
  if (value === false || value === "false" || value === "0" || value === "no") return false;
  throw new TypeError("true or false");
}

const levels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

function level(value: unknown): string {
  if (!levels.includes(value as string)) throw new TypeError(`one of ${levels.join(", ")}`);
  return value as string;
}

/** The settings of a service that is told nothing. */
export function defaultSettings(): Settings {
  return Object.fromEntries(
    settingRules.map(({ name, fallback }) => [name, fallback]),
  ) as unknown as Settings;
}

/** Settings as the variables by which another process is given them. */
export function asVariables(settings: Partial<Settings>): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const { name, variable, isNegated } of settingRules) {
    const value = settings[name];
    if (value === undefined) continue;
    const written = isNegated === true ? value !== true : value;
    variables[variable] = Array.isArray(written)
      ? written.join(",")
      : `${written as string | number | boolean}`;
  }
  return variables;
}

/** Reads one value, and says where it was when it cannot be. */
export function readSetting(each: SettingRule, value: unknown, where: string): unknown {
  try {
    return each.parse(value);
  } catch (error) {
    const got = each.secret === true ? "something else" : JSON.stringify(value);
    throw new CliFailure("SETTING", `Expected ${where} to be ${(error as Error).message}, got ${got}.`, {
      exitCode: EXIT_CODES.usage,
      cause: error,
    });
  }
}
