import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** The time for which an interrupted run can be continued, and for which its results are kept. */
export const RESUMABLE_FOR_MS: number = 24 * 3_600_000;

/** A run of the main job: its files, and the id from which the ids of its jobs are made. */
export interface Run {
  readonly id: string;
  readonly startedAt: number;
  readonly files: readonly string[];
  /** True if an earlier process began the run. */
  readonly resumed: boolean;
}

/**
 * The file of a run in progress, beside the embedded data. While the file exists, the next start continues the run with
 * the same ids of jobs, so queued and finished jobs are not queued again.
 */
export class RunFile {
  readonly #path: string;

  constructor(folder: string, directory: string, engine: string) {
    const key = createHash("sha256").update(`${directory}\n${engine}`).digest("hex").slice(0, 16);
    this.#path = join(folder, "runs", `${key}.json`);
  }

  /** Returns the interrupted run, if there is one that can be continued. */
  async load(): Promise<Run | undefined> {
    try {
      const run = JSON.parse(await readFile(this.#path, "utf8")) as Run;
      if (typeof run.id !== "string" || !Array.isArray(run.files)) return undefined;
      return Date.now() - run.startedAt < RESUMABLE_FOR_MS ? { ...run, resumed: true } : undefined;
    } catch {
      return undefined; // No run was interrupted, or its file is not readable. A new run only takes more time.
    }
  }

  /** Writes the file of a new run, before any of its jobs is submitted. */
  async begin(files: readonly string[]): Promise<Run> {
    const run: Run = { id: randomUUID().slice(0, 8), startedAt: Date.now(), files, resumed: false };
    await mkdir(dirname(this.#path), { recursive: true });
    await writeFile(`${this.#path}.new`, JSON.stringify(run));
    await rename(`${this.#path}.new`, this.#path);
    return run;
  }

  /** Removes the file of a finished run. The next start begins a new run. */
  async end(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}

/** Returns the ids of the two jobs of a file. An id is one job in both lanes, so each job has its own. */
export function fileJobIds(run: Run, file: string): { readonly count: string; readonly digest: string } {
  const id = `${run.id}-${createHash("sha256").update(file).digest("hex").slice(0, 24)}`;
  return { count: `${id}-count`, digest: `${id}-digest` };
}
