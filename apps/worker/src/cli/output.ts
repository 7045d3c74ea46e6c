import { styleText } from "node:util";
import Table from "cli-table3";
import type { JobView } from "../service/operations.ts";

type Style = Parameters<typeof styleText>[0];

/** Text in a style on a terminal, and plain everywhere else. */
export function styled(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout, validateStream: true });
}

/** One value for a program. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Rows for a person; numbers to the right. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const table = new Table({
    head: head.map((text) => styled("bold", text)),
    colAligns: head.map((_, column) =>
      rows.some((row) => typeof row[column] === "string") ? "left" : "right",
    ),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows)
    table.push(row.map((cell) => (typeof cell === "number" ? cell.toLocaleString("en-US") : cell)));
  process.stdout.write(`${table.toString()}\n`);
}

const stateStyles: Readonly<Record<string, Style>> = {
  completed: "green",
  failed: "red",
  cancelled: "yellow",
  active: "cyan",
};

/** A job's state, in its colour. */
export function stateText(state: string): string {
  const style = stateStyles[state];
  return style === undefined ? state : styled(style, state);
}

/** A value in one line of at most so many characters. */
export function brief(value: unknown, length = 60): string {
  const text = JSON.stringify(value) ?? "";
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** One job for a person. */
export function printJob(job: JobView): void {
  const lines: [string, string][] = [
    ["job", job.id],
    ["task", `${job.task}(${job.args.map((arg) => brief(arg, 200)).join(", ")})`],
    ["queue", `${job.queue}, ${job.lane} lane`],
    ["state", `${stateText(job.state)}, attempt ${job.attempts} of ${job.maxAttempts}`],
    ["submitted", new Date(job.submittedAt).toLocaleString()],
  ];
  if (job.startedAt !== undefined && job.finishedAt !== undefined)
    lines.push(["ran", `${job.finishedAt - job.startedAt} ms`]);
  if (job.progress !== undefined) lines.push(["progress", brief(job.progress, 200)]);
  if (job.value !== undefined) lines.push(["value", JSON.stringify(job.value, null, 2)]);
  if (job.reason !== undefined) lines.push(["reason", job.reason]);
  if (job.error !== undefined)
    lines.push(["error", job.error.stack ?? `${job.error.name}: ${job.error.message}`]);
  for (const [name, text] of lines) process.stdout.write(`${`${name}:`.padEnd(11)}${text}\n`);
}
