import { extname } from "node:path";
import Table from "cli-table3";
import type { LoopDelay } from "../workers/loop-delay-meter.ts";
import type { Digest, TextCounts } from "./tasks.ts";

/** The results of one file. */
export interface FileResult extends TextCounts, Digest {
  readonly path: string;
}

/** The measured figures of one run. */
export interface RunFigures {
  /** The jobs that ended in this process, and the milliseconds in which each lane was busy. */
  readonly lanes: Readonly<
    Record<"loop" | "thread", { readonly jobs: number; readonly milliseconds: number }>
  >;
  /** The delay of a worker's loop while all its threads were busy; of several workers, the worst. */
  readonly delayBesideThreads: LoopDelay | undefined;
  /** The delay of the loop while the same work runs in place, and the number of measured files. */
  readonly inPlace: { readonly delay: LoopDelay; readonly files: number } | undefined;
}

const MAX_ROWS = 20;

/** Returns a table by file type: the number of files, their sizes and their compression. */
export function typeTable(results: readonly FileResult[]): string {
  const types = new Map<string, Sums>();
  for (const result of results) {
    const type = extname(result.path).toLowerCase() || "(none)";
    const sums = types.get(type) ?? { files: 0, bytes: 0, lines: 0, compressed: 0 };
    sums.files++;
    sums.bytes += result.bytes;
    sums.lines += result.lines;
    sums.compressed += result.compressed;
    types.set(type, sums);
  }
  const sorted = [...types].toSorted(([, a], [, b]) => b.bytes - a.bytes);
  const shown = sorted.slice(0, MAX_ROWS);
  const rest = sorted.slice(MAX_ROWS);
  if (rest.length > 0) shown.push([`${rest.length} others`, sum(rest.map(([, row]) => row))]);
  const table = new Table({
    head: ["type", "files", "bytes", "lines", "ratio"],
    colAligns: ["left", "right", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const [type, sums] of [...shown, ["total", sum(sorted.map(([, row]) => row))] as const]) {
    table.push([type, count(sums.files), count(sums.bytes), count(sums.lines), ratio(sums)]);
  }
  return table.toString();
}

interface Sums {
  files: number;
  bytes: number;
  lines: number;
  compressed: number;
}

function sum(rows: readonly Sums[]): Sums {
  const total: Sums = { files: 0, bytes: 0, lines: 0, compressed: 0 };
  for (const { files, bytes, lines, compressed } of rows) {
    total.files += files;
    total.bytes += bytes;
    total.lines += lines;
    total.compressed += compressed;
  }
  return total;
}

/** Returns the ratio of original bytes to compressed bytes. */
function ratio({ bytes, compressed }: { readonly bytes: number; readonly compressed: number }): string {
  return compressed === 0 || bytes === 0 ? "-" : `${(bytes / compressed).toFixed(2)}:1`;
}

/** Returns the lines about speed below the table. */
export function speedLines(figures: RunFigures): string[] {
  const lines = (["loop", "thread"] as const).map((lane) => {
    const { jobs, milliseconds } = figures.lanes[lane];
    const speed = jobs === 0 ? "" : `, ${count(Math.round(jobs / (milliseconds / 1_000)))} jobs/s`;
    return `${lane} lane: ${count(jobs)} jobs${speed}`;
  });
  const { delayBesideThreads, inPlace } = figures;
  if (inPlace !== undefined) {
    lines.push(
      "delay of the event loop:",
      delayBesideThreads === undefined
        ? "  beside busy threads: not measured, the threads were never all busy"
        : `  beside busy threads: longest ${delayText(delayBesideThreads)}`,
      `  same work in place (the ${count(inPlace.files)} largest files): longest ${delayText(inPlace.delay)}`,
    );
  }
  return lines;
}

function delayText({ longest, p99 }: LoopDelay): string {
  return `${longest.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
}

/** Returns a whole number with separators, as in `1,000`. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}
