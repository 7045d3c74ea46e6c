import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** How long a run that was cut off can be taken up again; its results are kept for as long. Milliseconds. */
export const resumableFor: number = 24 * 3_600_000;

/** A run of the main job: the files that it is about, under an id from which each job's id is made. */
export interface Run {
  readonly id: string;
  readonly startedAt: number;
  readonly files: readonly string[];
  /** Whether an earlier process began it. */
  readonly resumed: boolean;
}

/**
 * The note of a run in progress, beside the embedded data. While it is there, the next start takes the run up again
 * instead of beginning another: same ids, so what was queued or finished is not queued again.
 */
export class RunFile {
  readonly #path: string;

  constructor(folder: string, directory: string, engine: string) {
    const key = createHash("sha256").update(`${directory}\n${engine}`).digest("hex").slice(0, 16);
    this.#path = join(folder, "runs", `${key}.json`);
  }

  /** The run that was cut off, if there is one that can still be taken up. */
  async load(): Promise<Run | undefined> {
    try {
      const run = JSON.parse(await readFile(this.#path, "utf8")) as Run;
      if (typeof run.id !== "string" || !Array.isArray(run.files)) return undefined;
      return Date.now() - run.startedAt < resumableFor ? { ...run, resumed: true } : undefined;
    } catch {
      return undefined; // None was cut off, or its note is not readable: a new run loses nothing but time.
    }
  }

  /** Notes a new run, before any of its jobs is submitted. */
  async begin(files: readonly string[]): Promise<Run> {
    const run: Run = { id: randomUUID().slice(0, 8), startedAt: Date.now(), files, resumed: false };
    await mkdir(dirname(this.#path), { recursive: true });
    await writeFile(`${this.#path}.new`, JSON.stringify(run));
    await rename(`${this.#path}.new`, this.#path);
    return run;
  }

  /** The run has ended: the next start begins a new one. */
  async end(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}

/** The ids of a file's jobs in a run. One id is one job, in whichever lane, so each job has its own. */
export function fileJobIds(run: Run, file: string): { readonly count: string; readonly digest: string } {
  const id = `${run.id}-${createHash("sha256").update(file).digest("hex").slice(0, 24)}`;
  return { count: `${id}-count`, digest: `${id}-digest` };
}
