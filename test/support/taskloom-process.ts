import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../../apps/worker/src/bin.ts", import.meta.url));
const endWithParent = new URL("end-with-parent.ts", import.meta.url).href;

/** Inside a test, calls back at its end; a script that uses this module has no tests. */
const atTestEnd: ((end: () => void) => void) | undefined =
  process.env["VITEST"] === undefined ? undefined : (await import("vitest")).onTestFinished;

/** The end of a process, and its output. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The `taskloom` command in a process of its own, run from its sources. It ends with the test that started
 * it, even after a timeout, and with this process, however that ends.
 */
export class TaskloomProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = "";
  #stderr = "";
  #changed = Promise.withResolvers<void>();

  constructor(
    args: readonly string[],
    {
      stdout = "pipe",
      ...options
    }: {
      readonly cwd?: string;
      readonly uid?: number;
      readonly env?: NodeJS.ProcessEnv;
      /** A file descriptor for the output, instead of the pipe behind {@link printed}. */
      readonly stdout?: number | "pipe";
    } = {},
  ) {
    const flags = ["--conditions=@taskloom/source", `--import=${endWithParent}`];
    this.child = spawn(process.execPath, [...flags, bin, ...args], {
      stdio: ["ignore", stdout, "pipe", "pipe"],
      ...options,
      env: { ...process.env, ...options.env },
    });
    atTestEnd?.(() => void this.child.kill("SIGKILL"));
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      this.#wake();
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    this.ended = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", (code, signal) => {
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
        this.#wake();
      });
    });
    this.ended.catch(() => {}); // If the process could not be started, callers that wait for it receive the error.
  }

  /** All output of the process so far. */
  get output(): string {
    return this.#stdout + this.#stderr;
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  /**
   * Waits until the output on either stream matches, and returns the match. Throws if the process ends
   * before.
   */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    while (true) {
      const found = pattern.exec(`${this.#stdout}\n${this.#stderr}`);
      if (found !== null) return found;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        const { stdout, stderr } = await this.ended;
        throw new Error(`The process ended before it printed ${pattern}:\n${stdout}\n${stderr}`);
      }
      await this.#changed.promise;
    }
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    this.child.kill(signal);
    return await this.ended;
  }
}

/** Runs the `taskloom` command to its end. */
export async function taskloom(...args: string[]): Promise<Ended> {
  return await new TaskloomProcess(args).ended;
}
