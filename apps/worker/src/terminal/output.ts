import { styleText } from "node:util";
import { EXIT_CODES } from "../errors/cli-failure.ts";
import { visibleJson, visibleText } from "./visible-text.ts";

/** The styles of `util.styleText`. */
export type Style = Parameters<typeof styleText>[0];

// The reader of a pipe can stop early (taskloom jobs | head), and a file can lie on a full disk.
process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
  if (code === "EPIPE") process.exit(EXIT_CODES.ok);
  process.stderr.write(`taskloom: The output cannot be written: ${message}\n`);
  process.exit(EXIT_CODES.failure);
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

/** Returns a text as a stream shows it: control characters are escaped on a terminal, and kept for programs. */
export function shown(text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return stream.isTTY ? visibleText(text) : text;
}

/** A part of a line: a text, which is escaped on a terminal, or a styled text of our own. */
export type Part = string | Styled;

function lineOf(stream: NodeJS.WriteStream, parts: readonly Part[]): string {
  const texts = parts.map((part) => (typeof part === "string" ? shown(part, stream) : part.toString()));
  return `${texts.join("")}\n`;
}

/** Returns a line for standard output, without its end. */
export function lineText(...parts: readonly Part[]): string {
  return lineOf(process.stdout, parts).slice(0, -1);
}

/** Writes a line to standard output. */
export function out(...parts: readonly Part[]): void {
  process.stdout.write(lineOf(process.stdout, parts));
}

/** Writes a line to standard error. */
export function err(...parts: readonly Part[]): void {
  process.stderr.write(lineOf(process.stderr, parts));
}

/** Writes a value as JSON to standard output, for a program; on one line if it is one of a series. */
export function printJson(value: unknown, isOfSeries = false): void {
  const json = JSON.stringify(value, null, isOfSeries ? 0 : 2);
  process.stdout.write(`${process.stdout.isTTY ? visibleJson(json) : json}\n`);
}
