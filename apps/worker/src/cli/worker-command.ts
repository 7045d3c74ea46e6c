import { pathToFileURL } from "node:url";
import { resolve } from "node:path";
import { TaskWorker } from "@taskloom/queue";
import { StallMeter, threadsAreBusy } from "../demo/stall-meter.ts";
import { type WorkerMessage, statsInterval } from "../service/worker-messages.ts";
import { CliFailure, exitCodes } from "./failure.ts";

/** The flags of `taskloom worker`. */
export interface WorkerFlags {
  readonly engine: string;
  readonly queue: readonly string[];
  readonly threads?: number;
  readonly concurrency?: number;
  /** Seconds. */
  readonly drain: number;
}

/** Runs a worker until it is told to stop. */
export async function workerCommand(modules: readonly string[], flags: WorkerFlags): Promise<number> {
  const worker = new TaskWorker({
    engine: flags.engine,
    queues: flags.queue,
    tasks: await Promise.all(modules.map(importModule)),
    drain: flags.drain * 1_000,
    ...(flags.threads === undefined ? {} : { threads: flags.threads }),
    ...(flags.concurrency === undefined ? {} : { concurrency: flags.concurrency }),
    onUnknown: ({ id, name, version }) => {
      process.stderr.write(
        `taskloom: job ${id} wants task ${name} version ${version}, which none of the modules has; it waits.\n`,
      );
    },
  });
  const meter = new StallMeter(() => threadsAreBusy(worker.stats()));
  const running = worker.run();
  const stop = (): void => void running.cancel("told to stop");
  process.once("SIGTERM", stop);
  // Under a parent, Ctrl-C reaches the whole group; the parent then tells its workers when to stop.
  process.on("SIGINT", process.send === undefined ? stop : () => {});
  process.once("disconnect", stop);
  const tell = (message: WorkerMessage): void => {
    if (process.connected) process.send?.(message);
  };
  const timer = setInterval(
    () => tell({ type: "stats", stats: worker.stats(), stall: meter.stall }),
    statsInterval,
  ).unref();
  try {
    await worker.ready();
    tell({ type: "ready" });
    if (process.send === undefined)
      process.stderr.write(`taskloom: worker on ${worker.engine.url}, ready.\n`);
    await Promise.allSettled([running]);
  } finally {
    clearInterval(timer);
    meter.stop();
    await Promise.allSettled([running]);
    tell({ type: "stats", stats: worker.stats(), stall: meter.stall });
  }
  return exitCodes.ok;
}

async function importModule(specifier: string): Promise<object> {
  const url = URL.canParse(specifier) ? specifier : pathToFileURL(resolve(specifier)).href;
  try {
    return (await import(url)) as object;
  } catch (error) {
    const { message } = error as Error;
    throw new CliFailure("MODULE", `cannot load the task module ${specifier}: ${message}`, { cause: error });
  }
}
