import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";

/** The ticks of a second in `/proc`, which Linux has for every program. */
const TICKS_PER_SECOND = 100;

/** Starts Node with arguments in a folder; resolves with the process and its output when that contains `sign`. */
export function started(
  folder: string,
  args: readonly string[],
  sign: string,
): Promise<{ readonly child: ChildProcess; readonly output: string }> {
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  return new Promise((resolve, reject) => {
    const onText = (text: string): void => {
      output += text;
      if (output.includes(sign)) resolve({ child, output });
    };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", onText);
    child.once("exit", (code) => reject(new Error(`node ${args.join(" ")} ended with ${code}: ${output}`)));
  });
}

/** Runs Node to its end, and returns its standard output and its time in milliseconds. */
export async function ran(
  folder: string,
  args: readonly string[],
): Promise<{ readonly output: string; readonly time: number }> {
  const from = performance.now();
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`node ${args.join(" ")} ended with ${String(code)}`);
  return { output, time: performance.now() - from };
}

/** Returns the resident memory of a process in MiB. */
export async function rss({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1_024;
}

/** Returns the processor time of a process so far, all threads, in seconds. */
export async function cpu({ pid }: ChildProcess): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
