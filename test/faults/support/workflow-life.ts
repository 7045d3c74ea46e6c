import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { CommandDeath } from "./die-at-command.ts";

/** The life of a worker of durable runs in a process of its own. */
export interface WorkerLife {
  /** The append, counted over its runs, or the command at which the worker kills itself; undefined for never. */
  readonly dies?: { readonly append: number; readonly when: "before" | "after" } | CommandDeath | undefined;
  /** The number of runs that the worker has in memory at once. */
  readonly runs?: number | undefined;
}

/** The facts that a worker leaves when it kills itself. */
export interface WorkerDeath {
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The number of appends of runs in its life. */
  readonly appended: number;
  /** The runs that it had in memory, with the lengths of their logs. */
  readonly resident: readonly (readonly [id: string, length: number])[];
}

const flags = [
  "--conditions=@taskloom/source",
  "--no-warnings",
  `--import=${new URL("../../support/end-with-parent.ts", import.meta.url).href}`,
];

/** Starts a script of this folder, which writes `ready` to its output, and is killed after the test at the latest. */
export async function startScript(
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<ChildProcess> {
  const script = fileURLToPath(new URL(name, import.meta.url));
  const child = spawn(process.execPath, [...flags, script, ...args], {
    stdio: ["ignore", "pipe", "inherit", "pipe"],
    env: { ...process.env, ...env },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await new Promise<void>((resolve, reject) => {
    child.stdout!.once("data", () => resolve());
    child.once("exit", (code, signal) => {
      // One that kills itself may do so at its first commands.
      if (signal === "SIGKILL") resolve();
      else reject(new Error(`${name} ended with ${code} before it was ready`));
    });
  });
  return child;
}

/** Resolves with the signal by which a process has ended. */
export const endOf = (child: ChildProcess): Promise<NodeJS.Signals | null> =>
  child.signalCode !== null || child.exitCode !== null
    ? Promise.resolve(child.signalCode)
    : new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));

/** The workers of one queue, and the files in which they note their effects and deaths. */
export class RunWorkers {
  readonly #engine: string;
  readonly #queue: string;
  readonly folder: string;
  readonly #started: ChildProcess[] = [];

  private constructor(engine: string, queue: string, folder: string) {
    this.#engine = engine;
    this.#queue = queue;
    this.folder = folder;
  }

  static async of(engine: string, queue: string): Promise<RunWorkers> {
    const folder = await mkdtemp(join(tmpdir(), "taskloom-death-"));
    onTestFinished(async () => await rm(folder, { recursive: true, force: true }));
    for (const name of ["effects", "deaths"]) await writeFile(join(folder, name), "");
    return new RunWorkers(engine, queue, folder);
  }

  async start(life: WorkerLife = {}): Promise<ChildProcess> {
    const args = [this.#engine, this.#queue, JSON.stringify(life)];
    const worker = await startScript("workflow-worker.ts", args, {
      TASKLOOM_LEDGER: join(this.folder, "effects"),
      TASKLOOM_DEATHS: join(this.folder, "deaths"),
    });
    this.#started.push(worker);
    return worker;
  }

  /** Kills the workers that are left. */
  async end(): Promise<void> {
    for (const worker of this.#started) worker.kill("SIGKILL");
    await Promise.all(this.#started.map(endOf));
  }

  #lines(name: string): string[] {
    return readFileSync(join(this.folder, name), "utf8").split("\n").slice(0, -1);
  }

  /** The effects of steps and jobs: the process, and the step or job that had it. */
  effects(): (readonly [pid: number, key: string])[] {
    return this.#lines("effects").map((line) => {
      const end = line.indexOf(" ");
      return [Number(line.slice(0, end)), line.slice(end + 1)];
    });
  }

  deaths(): WorkerDeath[] {
    return this.#lines("deaths").map((line) => JSON.parse(line) as WorkerDeath);
  }
}
