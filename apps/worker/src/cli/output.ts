import { inspect, stripVTControlCharacters, styleText } from "node:util";
import { decodeValue } from "@taskloom/queue/operating";
import Table from "cli-table3";
import { exitCodes } from "./failure.ts";
import { hasEnded } from "../service/operations.ts";
import type { JobView } from "../service/operations.ts";
import { visibleJson, visibleText } from "../service/visible-text.ts";

/** A column is not cut shorter than this. */
const leastWidth = 12;

type Style = Parameters<typeof styleText>[0];

// Whoever reads may stop early (taskloom jobs | head), and a file may lie on a full disk.
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  if (code === "EPIPE") process.exit(exitCodes.ok);
  process.stderr.write(`taskloom: the output cannot be written: ${message}\n`);
  process.exit(exitCodes.failure);
});

/** Text in a style on a terminal, and plain everywhere else. */
export class Styled {
  readonly style: Style;
  readonly text: string;

  constructor(style: Style, text: string) {
    this.style = style;
    this.text = text;
  }

  toString(): string {
    return styleText(this.style, shown(this.text), { stream: process.stdout, validateStream: true });
  }
}

/** Text as a stream shows it: with control characters written out where it is a terminal, and as it is for programs. */
function shown(text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return stream.isTTY ? visibleText(text) : text;
}

/** A part of a line: a text, which is escaped on a terminal, or a styled text of our own. */
type Part = string | Styled;

function lineOf(stream: NodeJS.WriteStream, parts: readonly Part[]): string {
  const texts = parts.map((part) => (typeof part === "string" ? shown(part, stream) : part.toString()));
  return `${texts.join("")}\n`;
}

/** Writes a line to standard output. */
export function out(...parts: readonly Part[]): void {
  process.stdout.write(lineOf(process.stdout, parts));
}

/** Writes a line to standard error. */
export function err(...parts: readonly Part[]): void {
  process.stderr.write(lineOf(process.stderr, parts));
}

/** One value for a program. */
export function printJson(value: unknown): void {
  const json = JSON.stringify(value, null, 2);
  process.stdout.write(`${process.stdout.isTTY ? visibleJson(json) : json}\n`);
}

/** One cell of a table. */
export type Cell = string | number | Styled;

/**
 * Rows for a person; numbers to the right. On a terminal that is too narrow the widest columns are cut short, but the
 * first, which people copy from, is not.
 */
export function printTable(head: readonly string[], rows: readonly (readonly Cell[])[]): void {
  const table = new Table({
    head: head.map((text) => new Styled("bold", text).toString()),
    colAligns: head.map((_, column) =>
      rows.some((row) => typeof row[column] !== "number") ? "left" : "right",
    ),
    style: { head: [], border: [], compact: true },
  });
  const cells = rows.map((row) => row.map(cellText));
  const widths = fittingWidths([head, ...cells], process.stdout.columns ?? Infinity);
  for (const row of cells) table.push(row.map((cell, column) => cut(cell, widths[column]!)));
  process.stdout.write(`${table.toString()}\n`);
}

function cellText(cell: Cell): string {
  if (typeof cell === "number") return cell.toLocaleString("en-US");
  // A text of several lines could pass for several rows.
  return cell instanceof Styled
    ? cell.toString()
    : shown(cell).replaceAll("\n", process.stdout.isTTY ? "\\n" : "\n");
}

/** How wide the text of each column may be so that a table fits. */
function fittingWidths(rows: readonly (readonly string[])[], columns: number): number[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => stripVTControlCharacters(row[column]!).length)),
  );
  const frame = 3 * widths.length + 1;
  let tooWide = widths.reduce((sum, width) => sum + width, frame) - columns;
  while (tooWide > 0) {
    const widest = Math.max(...widths.slice(1));
    if (widest <= leastWidth) break;
    widths[widths.lastIndexOf(widest)]!--;
    tooWide--;
  }
  return widths;
}

/** Text of at most so many characters, without its styles when it is longer. */
export function cut(text: string, width: number): string {
  return stripVTControlCharacters(text).length <= width ? text : `${text.slice(0, width - 1)}…`;
}

const stateStyles: Readonly<Record<string, Style>> = {
  completed: "green",
  failed: "red",
  cancelled: "yellow",
  active: "cyan",
};

/** A job's state, in its colour. */
export function stateText(state: string): string | Styled {
  const style = stateStyles[state];
  return style === undefined ? state : new Styled(style, state);
}

/** What a task returned, for a person: as JSON where JSON can say it, and else as Node prints it. */
export function valueText(value: unknown): string {
  const json = JSON.stringify(value, null, 2) ?? "undefined";
  if (json.includes('"$taskloom"')) return inspect(decodeValue(value), { depth: 10, maxArrayLength: 1_000 });
  return process.stdout.isTTY ? visibleJson(json) : json;
}

/** A value in one line of at most so many characters. */
export function brief(value: unknown, length = 60): string {
  const text = JSON.stringify(value) ?? "";
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

function callText(job: JobView): string {
  const args = job.calls === undefined ? job.args : ((job.args[0] ?? []) as readonly unknown[]);
  const call = `${job.task}(${args.map((arg) => brief(arg, 200)).join(", ")})`;
  if (job.calls === undefined) return call;
  return `${call}${job.calls > 1 ? ` and ${(job.calls - 1).toLocaleString("en-US")} more calls` : ""}, in one pack`;
}

function attemptText({ attempts, maxAttempts, state, startedAt }: JobView): string {
  if (attempts === 0 && startedAt === undefined)
    return hasEnded(state)
      ? "never started"
      : `not started, ${maxAttempts} attempt${maxAttempts === 1 ? "" : "s"}`;
  // While a job runs, the attempt that it is at has not been counted.
  const current = state === "active" ? attempts + 1 : attempts;
  return `attempt ${Math.max(1, current)} of ${Math.max(maxAttempts, current)}`;
}

/** One job for a person. */
export function printJob(job: JobView): void {
  const lines: [string, ...Part[]][] = [
    ["job", job.id],
    ["task", callText(job)],
    ["queue", `${job.queue}, ${job.lane} lane`],
    ["state", stateText(job.state), `, ${attemptText(job)}`],
    ["submitted", new Date(job.submittedAt).toLocaleString()],
  ];
  if (job.startedAt !== undefined && job.finishedAt !== undefined)
    lines.push(["ran", `${job.finishedAt - job.startedAt} ms`]);
  if (job.progress !== undefined) lines.push(["progress", brief(job.progress, 200)]);
  if (job.unreadable !== undefined) {
    lines.push(["unreadable", job.unreadable]);
    lines.push(["data", brief(job.data, 1_000)]);
  }
  if (job.value !== undefined) lines.push(["value", valueText(job.value)]);
  if (job.reason !== undefined) lines.push(["reason", job.reason]);
  if (job.error !== undefined)
    lines.push(["error", job.error.stack ?? `${job.error.name}: ${job.error.message}`]);
  for (const [name, ...parts] of lines) out(`${name}:`.padEnd(11), ...parts);
}
