/**
 * Measures that need a process for each side. Whether the memory of a megabyte is reused or comes from the
 * system, page by page, makes a factor of four; in one process, the pools would influence each other's
 * memory.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { peerNames } from "./peers.ts";
import { median } from "./report.ts";

const ROUNDS = 7;

/** The measures of one-side.ts. */
export type SideMeasure = "megabyte" | "moved megabyte" | "records";

/**
 * Returns the median of each side over rounds in which all sides take turns; `moved` is an additional measure
 * of Taskloom alone.
 */
export async function inProcesses(
  measure: SideMeasure,
  moved?: "moved megabyte",
): Promise<Map<string, number>> {
  const samples = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of ["Taskloom", ...peerNames]) add(samples, side, await figureOf(side, measure));
    if (moved !== undefined) add(samples, "Taskloom, transferred", await figureOf("Taskloom", moved));
  }
  return new Map([...samples].map(([name, values]) => [name, median(values)]));
}

function add(samples: Map<string, number[]>, name: string, value: number): void {
  samples.set(name, [...(samples.get(name) ?? []), value]);
}

function figureOf(side: string, measure: SideMeasure): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL("one-side.ts", import.meta.url)), [side, measure], {
      execArgv: ["--conditions=@taskloom/source"],
    });
    child.once("message", (figure: number) => resolve(figure));
    child.once("exit", (code) => reject(new Error(`The process of ${side} ended with ${code}`)));
  });
}
