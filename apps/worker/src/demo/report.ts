import { extname } from "node:path";
import Table from "cli-table3";
import type { LoopDelay } from "../workers/loop-delay-meter.ts";
import type { Digest, TextCounts } from "./tasks.ts";

/** All that is known of one file at the end. */
export interface FileResult extends TextCounts, Digest {
  readonly path: string;
}

/** The figures of one run, all of them measured in it. */
export interface RunFigures {
  /** Jobs that ended in this process's time, and the milliseconds from the first submission to the last end. */
  readonly lanes: Readonly<
    Record<"loop" | "thread", { readonly jobs: number; readonly milliseconds: number }>
  >;
  /** What a worker's loop was kept waiting while all its threads were busy; of several workers, the worst. */
  readonly delayBesideThreads: LoopDelay | undefined;
  /** The same for work done in place, and how many files that was measured on. */
  readonly inPlace: { readonly delay: LoopDelay; readonly files: number } | undefined;
}

const rowsAtMost = 20;

/** A table by file type: how many, how large, and how far each type was compressed. */
export function typeTable(results: readonly FileResult[]): string {
  const types = new Map<string, { files: number; bytes: number; lines: number; compressed: number }>();
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
  const shown = sorted.slice(0, rowsAtMost);
  const rest = sorted.slice(rowsAtMost);
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

function sum<T extends Record<string, number>>(rows: readonly T[]): T {
  const total = {} as Record<string, number>;
  for (const row of rows)
    for (const [key, value] of Object.entries(row)) total[key] = (total[key] ?? 0) + value;
  return { files: 0, bytes: 0, lines: 0, compressed: 0, ...total } as unknown as T;
}

/** Original bytes to compressed ones. */
function ratio({ bytes, compressed }: { readonly bytes: number; readonly compressed: number }): string {
  return compressed === 0 || bytes === 0 ? "-" : `${(bytes / compressed).toFixed(2)}:1`;
}

/** The speed lines below the table. */
export function speedLines(figures: RunFigures): string[] {
  const lines = (["loop", "thread"] as const).map((lane) => {
    const { jobs, milliseconds } = figures.lanes[lane];
    const speed = jobs === 0 ? "" : `, ${count(Math.round(jobs / (milliseconds / 1_000)))} jobs/s`;
    return `${lane} lane: ${count(jobs)} jobs${speed}`;
  });
  const { delayBesideThreads, inPlace } = figures;
  if (inPlace !== undefined) {
    lines.push(
      "how long the event loop was kept from running:",
      delayBesideThreads === undefined
        ? "  while every thread was busy: the threads were never all busy"
        : `  while every thread was busy: longest ${delayText(delayBesideThreads)}`,
      `  the same work in place (the ${count(inPlace.files)} largest files): longest ${delayText(inPlace.delay)}`,
    );
  }
  return lines;
}

function delayText({ longest, p99 }: LoopDelay): string {
  return `${longest.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
}

/** A whole number as people read it. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}
