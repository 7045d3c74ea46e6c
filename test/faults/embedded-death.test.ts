import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { TaskQueue, TaskWorker } from "@taskloom/queue";
import { expect } from "vitest";
import { taskloom } from "../support/taskloom-process.ts";
import { faultTest, full, measured } from "./support/fault-test.ts";
import * as tasks from "./support/tasks.ts";

const kills = full ? 20 : 3;

/** The process of `embedded-load.ts`, and what it has said. */
class Load {
  readonly child: ChildProcess;
  readonly gone: Promise<unknown>;
  readonly stored = new Set<string>();
  readonly done = new Set<string>();
  open = false;
  #rest = "";
  #stderr = "";

  constructor(folder: string, prefix: string, ledger: string) {
    const program = fileURLToPath(new URL("support/embedded-load.ts", import.meta.url));
    this.child = spawn(process.execPath, ["--conditions=@taskloom/source", program, folder, prefix], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, TASKLOOM_LEDGER: ledger },
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    this.gone = new Promise((resolve) => this.child.once("close", resolve));
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const [what, id = ""] = line.split(" ");
      if (what === "open") this.open = true;
      else if (what === "stored") this.stored.add(id);
      else if (what === "done") this.done.add(id);
    }
  }

  async until(condition: () => boolean): Promise<void> {
    await expect
      .poll(() => (this.child.exitCode === null ? condition() : `ended: ${this.#stderr}`), {
        timeout: 60_000,
        interval: 20,
      })
      .toBe(true);
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.gone;
  }
}

faultTest(
  `kill -9 of the embedded process, ${kills} times under load: nothing that was acknowledged is lost`,
  { timeout: 600_000 },
  async ({ folder, ledger }) => {
    const data = join(folder, "data");
    const stored = new Set<string>();
    const done = new Set<string>();
    for (let life = 0; life < kills; life++) {
      const load = new Load(data, `life${life}`, ledger.path);
      try {
        await load.until(() => load.done.size >= 30);
      } finally {
        await load.kill();
      }
      for (const id of load.stored) stored.add(id);
      for (const id of load.done) done.add(id);
    }
    expect(stored.size).toBeGreaterThan(20 * kills);
    const runsBefore = ledger.runs();

    process.env["TASKLOOM_LEDGER"] = ledger.path;
    const queue = new TaskQueue({ engine: `embedded:${data}` });
    await queue.connect();
    const before = await queue.states([...done]);
    expect([...before.values()].filter((state) => state !== "completed")).toEqual([]);
    const running = new TaskWorker({ engine: queue.engine, tasks: [tasks] }).run();
    // Every job that was stored ends, and a death spends no attempt.
    const ends = await Promise.all([...stored].map((id) => queue.attach(id)));
    expect(ends.filter((attempt) => attempt !== 1)).toEqual([]);
    const runsAfter = ledger.runs();
    for (const id of done) {
      const key = id.replace(/^loop\./, "");
      expect(runsAfter.get(key)?.length, `${key} was done before`).toBe(runsBefore.get(key)?.length);
    }
    measured(
      `${kills} kills: ${stored.size} jobs acknowledged, ${done.size} results; 0 lost, no result's job ran again`,
    );
    running.cancel();
    await running.catch(() => {});
    await queue.close();
  },
);

faultTest(
  "a second process on an embedded folder is refused, with the owner's pid and address",
  { timeout: 120_000 },
  async ({ folder, ledger }) => {
    const data = join(folder, "data");
    const load = new Load(data, "owner", ledger.path);
    try {
      await load.until(() => load.open);
      await expect(new TaskQueue({ engine: `embedded:${data}` }).connect()).rejects.toMatchObject({
        code: "EMBEDDED_LOCKED",
        pid: load.child.pid,
        address: "http://127.0.0.1:4711",
      });
      const module = fileURLToPath(new URL("support/tasks.ts", import.meta.url));
      const second = await taskloom("worker", module, "--engine", `embedded:${data}`, "--port", "0");
      expect(second.code).not.toBe(0);
      expect(second.stderr).toContain(String(load.child.pid));
      expect(second.stderr).toContain("http://127.0.0.1:4711");
      // The owner has not noticed.
      const before = load.done.size;
      await load.until(() => load.done.size > before);
    } finally {
      await load.kill();
    }
  },
);
