import { styleText } from "node:util";
import { visibleText } from "./visible-text.ts";

/** pino's levels, by their numbers. */
const LEVELS: Readonly<Record<number, readonly [name: string, style: Parameters<typeof styleText>[0]]>> = {
  10: ["TRACE", "gray"],
  20: ["DEBUG", "gray"],
  30: ["INFO", "green"],
  40: ["WARN", "yellow"],
  50: ["ERROR", "red"],
  60: ["FATAL", "red"],
};

/**
 * Returns a line of the worker's log as a person reads it: the time of day, the level, the message, the other fields, and the
 * stack of an error on lines of its own. A line that is not of pino is returned as it is.
 *
 * pino-pretty was rejected: it adds a dozen packages to a worker for a line whose fields are all known.
 *
 * @param line a line of JSON without its line feed. Control characters of its values are escaped.
 * @param colors whether the terminal shows colors.
 */
export function humanLine(line: string, colors: boolean): string {
  let fields: Readonly<Record<string, unknown>>;
  try {
    fields = JSON.parse(line) as Readonly<Record<string, unknown>>;
  } catch {
    return line;
  }
  const { level, time, msg, pid: _pid, err, ...rest } = fields;
  const [name, style] = LEVELS[Number(level)] ?? [String(level), "white"];
  const paint = (as: Parameters<typeof styleText>[0], text: string): string =>
    colors ? styleText(as, text, { validateStream: false }) : text;
  const details = Object.entries(rest).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const head = [
    paint("gray", timeOfDay(Number(time))),
    paint(style, name.padEnd(5)),
    visibleText(typeof msg === "string" ? msg : ""),
    ...(details.length === 0 ? [] : [paint("gray", visibleText(details.join(" ")))]),
  ].join(" ");
  const stack = stackOf(err);
  return stack === undefined ? head : `${head}\n${paint("gray", visibleText(stack))}`;
}

function timeOfDay(time: number): string {
  const date = new Date(time);
  const part = (value: number, length = 2): string => String(value).padStart(length, "0");
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${part(date.getMilliseconds(), 3)}`;
}

function stackOf(err: unknown): string | undefined {
  if (err === undefined) return undefined;
  const { stack, message } = (err ?? {}) as { readonly stack?: unknown; readonly message?: unknown };
  const text =
    typeof stack === "string" ? stack : typeof message === "string" ? message : JSON.stringify(err);
  return text.replaceAll(/^/gm, "  ");
}
