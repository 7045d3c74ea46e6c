import { openEngine } from "@taskloom/queue";
import type { Engine } from "@taskloom/queue";
import { pino } from "pino";
import { vi } from "vitest";
import { exitCodeOf, failureLine } from "../../apps/worker/src/cli/failure-report.ts";
import { program } from "../../apps/worker/src/cli/program.ts";
import { defaultSettings } from "../../apps/worker/src/config/settings.ts";
import { EngineOperations } from "../../apps/worker/src/operations/engine-operations.ts";
import { HttpAddress } from "../../apps/worker/src/service/http-address.ts";
import { WatchedWorker } from "../../apps/worker/src/workers/watched-worker.ts";
import type { Ended } from "../support/taskloom-process.ts";

/** Runs a command of `taskloom` in this process, which costs a fraction of a process of its own. */
export async function command(...args: string[]): Promise<Pick<Ended, "code" | "stdout" | "stderr">> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      written[name] += String(text);
      return true;
    }),
  );
  try {
    return { code: await program(args), ...written };
  } catch (error) {
    return {
      code: exitCodeOf(error),
      ...written,
      stderr: `${written.stderr}taskloom: ${failureLine(error)}\n`,
    };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** An engine in a folder, its HTTP address and, if there are modules, its worker, all in this process. */
export class ServiceHere implements AsyncDisposable {
  readonly engine: Engine;
  readonly operations: EngineOperations;
  readonly address: string;
  readonly #http: HttpAddress;
  readonly #worker: WatchedWorker | undefined;

  private constructor(
    engine: Engine,
    operations: EngineOperations,
    http: HttpAddress,
    address: string,
    worker: WatchedWorker | undefined,
  ) {
    this.engine = engine;
    this.operations = operations;
    this.#http = http;
    this.address = address;
    this.#worker = worker;
  }

  static async open(url: string, modules: readonly object[] = []): Promise<ServiceHere> {
    const engine = openEngine(url);
    await engine.connect();
    const operations = new EngineOperations(engine, ["default"], modules);
    const logger = pino({ level: "silent" });
    const settings = { ...defaultSettings(), engine, modules, logger };
    const http = new HttpAddress({ ...settings, metrics: async () => [], isReady: () => true });
    const { address } = await http.listen({ host: "127.0.0.1", port: 0, orAnyFree: false });
    const worker =
      modules.length === 0
        ? undefined
        : new WatchedWorker({ ...settings, threads: 1, slot: 0, drain: 1_000 });
    await worker?.start();
    return new ServiceHere(engine, operations, http, address, worker);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.stop();
    await this.#http.close();
    await this.operations.close();
    await this.engine.close();
  }
}
