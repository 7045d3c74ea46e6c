import { resolve as resolvePath } from "node:path";
import type { Engine } from "@taskloom/queue";
import type { Logger } from "pino";
import { exitCodes } from "../cli/failure.ts";
import type { Settings } from "../config/settings.ts";
import { connectPatiently } from "./connect.ts";
import { EngineOperations } from "./engine-operations.ts";
import { HttpService } from "./http/http-service.ts";
import { ServiceMetrics } from "./service-metrics.ts";
import type { MetricsSnapshot } from "./service-metrics.ts";
import { StopSignals } from "./stop-signals.ts";
import { WatchedWorker } from "./watched-worker.ts";
import { WorkerProcess } from "./worker-process.ts";

/** The workers of a service, here or in processes of theirs. */
interface Workers {
  ready(): Promise<void>;
  /** Fails when they cannot go on. */
  readonly broken: Promise<never>;
  metrics(): Promise<readonly MetricsSnapshot[]>;
  stop(): Promise<void>;
  kill(): void;
}

/** `taskloom worker` once its settings are known: runs until a signal, and gives the exit code. */
export async function runWorkerService(
  settings: Settings,
  modules: readonly object[],
  logger: Logger,
  { portIsNamed }: { readonly portIsNamed: boolean },
): Promise<number> {
  let workers: Workers | undefined;
  const signals = new StopSignals(() => workers?.kill());
  const engine = await Promise.race([
    connectPatiently(settings.engine, settings.patience * 1_000, logger),
    signals.asked().then(() => undefined),
  ]);
  if (engine === undefined) return exitCodes.ok;
  for (const warning of engine.warnings()) logger.warn({ event: "engine" }, warning);
  const operations = new EngineOperations(engine, settings.queues, modules);
  let isReady = false;
  const http = await openHttp(settings, engine, operations, logger, {
    portIsNamed,
    isReady: () => isReady,
    metrics: async () => (await workers?.metrics()) ?? [],
  });
  try {
    workers =
      settings.workers === 1
        ? workHere(engine, settings, modules, logger)
        : workInProcesses(settings, logger);
    const asked = signals.asked();
    const first = await Promise.race([workers.ready(), workers.broken, asked]);
    if (first === undefined) {
      isReady = true;
      logger.info(
        {
          event: "ready",
          engine: engine.url,
          queues: settings.queues,
          workers: settings.workers,
          http: http?.address,
        },
        `ready: ${settings.workers} worker${settings.workers > 1 ? "s" : ""} on ${engine.url}${http === undefined ? "" : `, ${http.address}`}`,
      );
    }
    const signal = await Promise.race([asked, workers.broken]);
    isReady = false;
    logger.info(
      { event: "draining", signal },
      `${signal}: no more jobs are taken; what runs has ${settings.drain} s`,
    );
  } catch (error) {
    logger.fatal({ event: "failed", error: (error as Error).message }, "the service cannot go on");
    throw error;
  } finally {
    isReady = false;
    await workers?.stop();
    await http?.service.close();
    await operations.close();
    await engine.close();
    signals.dispose();
    logger.info({ event: "stopped" }, "stopped");
    await flushed(logger);
  }
  return exitCodes.ok;
}

/** An output that takes nothing, such as a pipe that nobody reads, keeps nothing from ending. */
function flushed(logger: Logger): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 1_000);
    logger.flush(() => resolve());
  });
}

async function openHttp(
  settings: Settings,
  engine: Engine,
  operations: EngineOperations,
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
): Promise<{ readonly service: HttpService; readonly address: string } | undefined> {
  if (!settings.http) return undefined;
  const socket = settings.listen?.slice("unix:".length);
  const service = await HttpService.create({
    ...settings,
    host: socket === undefined ? settings.host : undefined,
    engine,
    operations,
    isReady,
    metrics: new ServiceMetrics(operations, metrics),
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

function workHere(engine: Engine, settings: Settings, modules: readonly object[], logger: Logger): Workers {
  const worker = new WatchedWorker({
    ...settings,
    engine,
    modules,
    slot: 0,
    logger,
    drain: settings.drain * 1_000,
  });
  const { promise: broken, reject } = Promise.withResolvers<never>();
  broken.catch(() => {});
  return {
    ready: async () => {
      await worker.start();
      worker.broken().catch(reject);
    },
    broken,
    metrics: async () => [await worker.metrics()],
    stop: () => worker.stop(),
    kill: () => {},
  };
}

function workInProcesses(settings: Settings, logger: Logger): Workers {
  const { promise: broken, reject } = Promise.withResolvers<never>();
  broken.catch(() => {});
  const processes = Array.from(
    { length: settings.workers },
    (_, slot) =>
      new WorkerProcess(slot, settings, {
        died: (place, reason, restartIn) =>
          logger.error(
            { event: "died", slot: place, reason },
            `worker ${place} ended with ${reason}; the next starts in ${restartIn} ms`,
          ),
        gaveUp: reject,
      }),
  );
  return {
    ready: async () => {
      await Promise.race([Promise.all(processes.map(({ ready }) => ready)), broken]);
    },
    broken,
    metrics: () => Promise.all(processes.map((each) => each.metrics())),
    stop: async () => {
      await Promise.all(processes.map((each) => each.stop()));
    },
    kill: () => {
      for (const each of processes) each.kill();
    },
  };
}
