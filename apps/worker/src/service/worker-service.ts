import { resolve as resolvePath } from "node:path";
import { StopSignals } from "@taskloom/loop/stop-signals";
import type { Engine } from "@taskloom/queue";
import type { Logger } from "pino";
import type { WorkerHooks } from "../config/config-file.ts";
import type { Settings } from "../config/settings.ts";
import { EXIT_CODES } from "../errors/cli-failure.ts";
import { connectPatiently } from "../workers/connect.ts";
import { hasProvider } from "../workers/otel-providers.ts";
import type { MetricsSnapshot } from "../workers/job-metrics.ts";
import { workHere, workInProcesses } from "../workers/worker-set.ts";
import type { WatchedWorkerOptions } from "../workers/watched-worker.ts";
import type { WorkerSet } from "../workers/worker-set.ts";
import { HttpAddress } from "./http-address.ts";

/** The time in which the log has to be written at the end. */
const FLUSH_PATIENCE_MS = 1_000;

/** Runs `taskloom worker` with its settings until a signal stops it, and returns the exit code. */
export async function runWorkerService(
  settings: Settings,
  modules: readonly object[],
  logger: Logger,
  { portIsNamed, hooks }: { readonly portIsNamed: boolean; readonly hooks: WorkerHooks },
): Promise<number> {
  let workers: WorkerSet | undefined;
  const signals = new StopSignals({
    onSecond: () => {
      workers?.kill();
      process.exit(EXIT_CODES.interrupted);
    },
  });
  const engine = await Promise.race([
    connectPatiently(settings.engine, settings.patience * 1_000, logger),
    signals.asked.then(() => undefined),
  ]);
  if (engine === undefined) return EXIT_CODES.ok;
  for (const warning of engine.warnings()) logger.warn({ event: "engine" }, warning);
  let isReady = false;
  const http = await openHttp(settings, engine, modules, logger, {
    portIsNamed,
    isReady: () => isReady,
    metrics: async () => (await workers?.metrics()) ?? [],
  });
  const stopMeters = await openMeters(engine, settings);
  try {
    workers = startWorkers(engine, settings, { modules, hooks, logger });
    const first = await Promise.race([workers.ready, workers.broken, signals.asked]);
    if (first === undefined) {
      isReady = true;
      logReady(logger, settings, engine, http?.address);
    }
    const signal = await Promise.race([signals.asked, workers.broken]);
    isReady = false;
    logger.info(
      { event: "draining", signal },
      `${signal}: no more jobs are taken; running jobs have ${settings.drain} s`,
    );
  } catch (error) {
    logger.fatal({ event: "failed", error: (error as Error).message }, "the service cannot go on");
    throw error;
  } finally {
    isReady = false;
    await workers?.stop();
    await stopMeters();
    await http?.service.close();
    await engine.close();
    signals.dispose();
    logger.info({ event: "stopped" }, "stopped");
    await flushed(logger);
  }
  return EXIT_CODES.ok;
}

/** Opens the metrics of the queues for the OpenTelemetry SDK of the process; returns a function that ends them. */
async function openMeters(engine: Engine, { queues }: Settings): Promise<() => Promise<void>> {
  if (!hasProvider("metrics")) return async () => {};
  const { openQueueMeters } = await import("./queue-meters.ts");
  return openQueueMeters(engine, queues);
}

function startWorkers(
  engine: Engine,
  settings: Settings,
  parts: Pick<WatchedWorkerOptions, "modules" | "hooks" | "logger">,
): WorkerSet {
  const { logger } = parts;
  if (settings.workers === 1)
    return workHere({ ...settings, ...parts, engine, slot: 0, drain: settings.drain * 1_000 });
  return workInProcesses(settings.workers, settings, (slot, reason, restartIn) =>
    logger.error(
      { event: "died", slot, reason },
      `worker ${slot} ended with ${reason}; the next starts in ${restartIn} ms`,
    ),
  );
}

function logReady(
  logger: Logger,
  { queues, workers }: Settings,
  { url }: Engine,
  address: string | undefined,
): void {
  const where = address === undefined ? "" : `, ${address}`;
  logger.info(
    { event: "ready", engine: url, queues, workers, http: address },
    `ready: ${workers} worker${workers > 1 ? "s" : ""} on ${url}${where}`,
  );
}

/** Resolves when the log is written, or after a second: an output that takes nothing must not block the end. */
function flushed(logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, FLUSH_PATIENCE_MS);
    logger.flush(() => resolve());
  });
}

async function openHttp(
  settings: Settings,
  engine: Engine,
  modules: readonly object[],
  logger: Logger,
  {
    portIsNamed,
    isReady,
    metrics,
  }: {
    readonly portIsNamed: boolean;
    readonly isReady: () => boolean;
    readonly metrics: () => Promise<readonly MetricsSnapshot[]>;
  },
): Promise<{ readonly service: HttpAddress; readonly address: string } | undefined> {
  if (!settings.http) return undefined;
  const socket = settings.listen?.slice("unix:".length);
  const service = new HttpAddress({
    ...settings,
    host: socket === undefined ? settings.host : undefined,
    engine,
    modules,
    isReady,
    metrics,
    logger,
  });
  const { address, isOther } = await service.listen(
    socket === undefined
      ? { host: settings.host, port: settings.port, orAnyFree: !portIsNamed }
      : { path: resolvePath(socket) },
  );
  if (isOther)
    logger.warn(
      { event: "http", port: settings.port },
      `port ${settings.port} is in use, perhaps by another worker, so this one answers at ${address}; --port names one`,
    );
  return { service, address };
}
