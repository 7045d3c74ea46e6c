import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { TaskQueue, TaskWorker } from "@taskloom/queue";
import { expect } from "vitest";
import { faultTest, full, measured } from "./support/fault-test.ts";
import * as tasks from "./support/tasks.ts";

const kills = full ? 50 : 3;

/** The process of `embedded-load.ts`, and its output. */
class Load {
  readonly child: ChildProcess;
  readonly gone: Promise<unknown>;
  readonly stored = new Set<string>();
  readonly done = new Set<string>();
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
      if (what === "stored") this.stored.add(id);
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

for (const sync of ["full", "normal"]) {
  faultTest(
    `kill -9 of one of three processes on a folder, ${kills} times under load (${sync}): nothing that was acknowledged is lost`,
    { timeout: 1_800_000 },
    async ({ folder, ledger }) => {
      const data = join(folder, "data");
      const engine = `${data}?sync=${sync}`;
      const all: Load[] = [];
      const start = (): Load => {
        const load = new Load(engine, `process${all.length}`, ledger.path);
        all.push(load);
        return load;
      };
      const alive = [start(), start(), start()];
      const dead = new Set<number>();
      try {
        await Promise.all(alive.map((load) => load.until(() => load.done.size > 0)));
        for (let kill = 0; kill < kills; kill++) {
          const victim = alive.shift()!;
          await victim.until(() => victim.done.size >= 20);
          dead.add(victim.child.pid!);
          await victim.kill();
          using file = new DatabaseSync(join(data, "taskloom.sqlite"));
          expect(file.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
          alive.push(start());
        }
      } finally {
        for (const { child } of alive) dead.add(child.pid!);
        await Promise.all(alive.map((load) => load.kill()));
      }
      const stored = new Set(all.flatMap((load) => Array.from(load.stored)));
      const done = new Set(all.flatMap((load) => Array.from(load.done)));
      expect(stored.size).toBeGreaterThan(10 * kills);
      const runsBefore = ledger.runs();

      process.env["TASKLOOM_LEDGER"] = ledger.path;
      const queue = new TaskQueue({ engine: `embedded:${engine}` });
      await queue.connect();
      const before = await queue.states([...done]);
      expect([...before.values()].filter((state) => state !== "completed")).toEqual([]);
      const running = new TaskWorker({ engine: queue.engine, tasks: [tasks] }).run();
      // Every stored job ends, and a death uses no attempt.
      const ends = await Promise.all([...stored].map((id) => queue.attach(id)));
      expect(ends.filter((attempt) => attempt !== 1)).toEqual([]);
      const runsAfter = ledger.runs();
      for (const id of done) {
        const key = id.replace(/^loop\./, "");
        expect(runsAfter.get(key)?.length, `${key} was done before`).toBe(runsBefore.get(key)?.length);
      }
      for (const [key, runs] of runsAfter) {
        for (const { pid } of runs.slice(0, -1))
          expect(dead, `${key} ran again after a death`).toContain(pid);
      }
      measured(
        `${kills} kills (${sync}): ${stored.size} jobs acknowledged, ${done.size} results; 0 lost, no result's job ran again`,
      );
      running.cancel();
      await running.catch(() => {});
      await queue.close();
    },
  );
}
