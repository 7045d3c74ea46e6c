import type { Logger } from "pino";
import { exitCodes } from "../cli/failure.ts";
import type { Settings } from "../config/settings.ts";
import { StallMeter, threadsAreBusy } from "../demo/stall-meter.ts";
import { connectPatiently } from "./connect.ts";
import { WatchedWorker } from "./watched-worker.ts";
import { statsInterval } from "./worker-messages.ts";
import type { MetricsRequest, WorkerMessage } from "./worker-messages.ts";

/** One worker process of several: tells the process that started it how it is, and stops when that says so or is gone. */
export async function runWorkerChild(
  settings: Settings,
  modules: readonly object[],
  slot: number,
  logger: Logger,
): Promise<number> {
  const stop = Promise.withResolvers<void>();
  // It can come twice: from the parent, and from a supervisor that ends all processes of a group.
  process.on("SIGTERM", () => stop.resolve());
  process.once("disconnect", () => stop.resolve());
  process.on("SIGINT", () => {}); // Ctrl-C reaches the whole group; the parent then tells its workers when to stop.
  const engine = await connectPatiently(settings.engine, settings.patience * 1_000, logger);
  const worker = new WatchedWorker({
    ...settings,
    engine,
    modules,
    slot,
    service: process.ppid,
    logger,
    drain: settings.drain * 1_000,
  });
  const meter = new StallMeter(() => threadsAreBusy(worker.stats()));
  const tell = (message: WorkerMessage): void => {
    if (process.connected) process.send?.(message);
  };
  const tellStats = (): void => tell({ type: "stats", stats: worker.stats(), stall: meter.stall });
  process.on("message", (message: MetricsRequest) => {
    if (message.type === "metrics?")
      void worker.metrics().then((metrics) => tell({ type: "metrics", metrics }));
  });
  const timer = setInterval(tellStats, statsInterval).unref();
  try {
    await worker.start();
    tell({ type: "ready" });
    await Promise.race([stop.promise, worker.broken()]);
  } finally {
    clearInterval(timer);
    meter.stop();
    await worker.stop();
    tellStats();
    await engine.close();
  }
  return exitCodes.ok;
}
