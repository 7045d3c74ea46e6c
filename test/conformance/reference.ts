import { execFileSync, spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";

import type { Outcome } from "./outcome.ts";
import type { Program } from "./program.ts";

export interface Answer {
  readonly python: string;
  readonly traces: string[][];
  readonly statistics: Record<string, number> | null;
}

/** The outcome of each task of a program if no schedule changes it, else null. */
export type Confluent = Outcome | null;

/** One long-lived Python process that runs programs on CPython's asyncio. */
export class Reference implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(python: string) {
    const script = fileURLToPath(new URL("reference.py", import.meta.url));
    // No trace depends on the hash seed. It is fixed all the same, so that it can never cause a difference.
    const env = { ...process.env, PYTHONHASHSEED: "0", PYTHONDONTWRITEBYTECODE: "1" };
    this.#process = spawn(python, [script], { env, stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async run(programs: readonly Program[], statistics = false): Promise<Answer> {
    return (await this.#ask({ programs, statistics })) as Answer;
  }

  /**
   * Returns the outcomes of programs on asyncio itself and under a number of shuffled schedules of the ready
   * queue.
   */
  async confluent(
    programs: readonly Program[],
    schedules: number,
  ): Promise<Answer & { outcomes: Confluent[] }> {
    return (await this.#ask({ programs, schedules })) as Answer & { outcomes: Confluent[] };
  }

  async #ask(request: object): Promise<unknown> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const line = await this.#lines.next();
    if (line.done) throw new Error("The Python reference ended without an answer: see its error above");
    return JSON.parse(line.value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    this.#process.stdin.end();
    await once(this.#process, "exit");
  }
}

/**
 * Returns the path of the Python for the comparison: `TASKLOOM_PYTHON`, or the first Python 3.13 among
 * `python3.13` and `python3` on the PATH, and the versions of pyenv.
 */
export function findPython(): string | undefined {
  const root = process.env["PYENV_ROOT"] ?? `${process.env["HOME"]}/.pyenv`;
  const candidates = [
    process.env["TASKLOOM_PYTHON"],
    "python3.13",
    "python3",
    `${root}/versions/3.13.0/bin/python3.13`,
  ];
  for (const candidate of candidates) {
    if (!candidate) continue;
    try {
      const version = execFileSync(candidate, ["-c", "import sys; print(sys.version_info[:2])"], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      if (version.trim() === "(3, 13)") return candidate;
    } catch {
      // This one is not installed; the loop tries the next.
    }
  }
  return undefined;
}
