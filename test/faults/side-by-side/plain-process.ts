import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("plain-worker.ts", import.meta.url));
const endWithParent = new URL("../../support/end-with-parent.ts", import.meta.url).href;

/** A worker of BullMQ in a process of its own, which ends with this process. */
export class PlainProcess {
  readonly child: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(child: ChildProcess) {
    this.child = child;
    this.#ended = new Promise((resolve) => child.once("exit", () => resolve()));
  }

  /** Starts a worker, and waits until it takes jobs. */
  static async start(url: string, concurrency: number, ledger: string): Promise<PlainProcess> {
    const flags = ["--conditions=@taskloom/source", "--no-warnings", `--import=${endWithParent}`];
    const child = spawn(process.execPath, [...flags, script, url, String(concurrency)], {
      stdio: ["ignore", "pipe", "inherit", "pipe"],
      env: { ...process.env, TASKLOOM_LEDGER: ledger },
    });
    const worker = new PlainProcess(child);
    await new Promise<void>((resolve, reject) => {
      child.stdout?.once("data", () => resolve());
      child.once("exit", (code) =>
        reject(new Error(`BullMQ's worker ended with ${code} before it was ready`)),
      );
    });
    return worker;
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.#ended;
  }
}
