import type { Logger } from "pino";
import type { WorkerHooks } from "../config/config-file.ts";
import type { Settings } from "../config/settings.ts";
import { EXIT_CODES } from "../errors/cli-failure.ts";
import { connectPatiently } from "./connect.ts";
import { LoopDelayMeter, threadsAreBusy } from "./loop-delay-meter.ts";
import { WatchedWorker } from "./watched-worker.ts";
import { DELAY_INTERVAL_MS } from "./worker-messages.ts";
import type { MetricsRequest, WorkerMessage } from "./worker-messages.ts";

/**
 * Runs one of several worker processes. It sends its state to its parent, and stops on a SIGTERM or when the parent
 * has ended.
 */
export async function runWorkerChild(
  settings: Settings,
  modules: readonly object[],
  slot: number,
  logger: Logger,
  hooks: WorkerHooks,
): Promise<number> {
  const stop = Promise.withResolvers<void>();
  // The signal can come twice: from the parent, and from a supervisor that ends all processes of a group.
  process.on("SIGTERM", () => stop.resolve());
  process.once("disconnect", () => stop.resolve());
  process.on("SIGINT", () => {}); // Ctrl-C reaches the whole group. The parent decides when its workers stop.
  const engine = await connectPatiently(settings.engine, settings.patience * 1_000, logger);
  const worker = new WatchedWorker({
    ...settings,
    engine,
    modules,
    slot,
    service: process.ppid,
    logger,
    hooks,
    drain: settings.drain * 1_000,
  });
  const meter = new LoopDelayMeter(() => threadsAreBusy(worker.stats()));
  const send = (message: WorkerMessage): void => {
    if (process.connected) process.send?.(message);
  };
  const sendDelay = (): void => send({ type: "delay", loopDelay: meter.delay });
  process.on("message", (message: MetricsRequest) => {
    if (message.type === "metrics?")
      void worker.metrics().then((metrics) => send({ type: "metrics", metrics }));
  });
  const timer = setInterval(sendDelay, DELAY_INTERVAL_MS).unref();
  try {
    await worker.start();
    send({ type: "ready" });
    await Promise.race([stop.promise, worker.broken()]);
  } finally {
    clearInterval(timer);
    meter.stop();
    await worker.stop();
    sendDelay();
    await engine.close();
  }
  return EXIT_CODES.ok;
}
