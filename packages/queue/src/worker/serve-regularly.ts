import type { Engine } from "../contract/engine.ts";
import { SERVE_INTERVAL_MS } from "../contract/serving.ts";
import type { ServingWorker } from "../contract/serving.ts";

/**
 * Stores at the engine that a worker serves its queues, now and every few seconds. Resolves with a function that stops
 * this. Failures are ignored: the worker runs jobs without the entry, and the next attempt is near.
 */
export async function serveRegularly(engine: Engine, worker: ServingWorker): Promise<() => Promise<void>> {
  const serve = async (): Promise<void> => await engine.serve(worker).catch(() => {});
  await serve();
  const timer = setInterval(() => void serve(), SERVE_INTERVAL_MS).unref();
  return async () => {
    clearInterval(timer);
    await engine.stopServing(worker.id).catch(() => {});
  };
}
