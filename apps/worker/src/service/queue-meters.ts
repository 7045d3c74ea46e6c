import { metrics } from "@opentelemetry/api";
import type { Observable } from "@opentelemetry/api";
import { lanes } from "@taskloom/queue/operating";
import type { Engine } from "@taskloom/queue";
import { EngineOperations } from "../operations/engine-operations.ts";
import type { Operations } from "../operations/operations.ts";

/**
 * Adds the metrics of the queues to the meter provider of the process: those that `/metrics` shows, with the same labels
 * as attributes. The engine is read when the SDK collects metrics. Returns a function that ends this.
 */
export function addQueueMeters(operations: Pick<Operations, "queues" | "workers">): () => void {
  const meter = metrics.getMeter("taskloom");
  const gauge = (name: string, description: string, unit = ""): Observable =>
    meter.createObservableGauge(name, { description, unit });
  const jobs = gauge("taskloom.queue.jobs", "Jobs by queue, lane and state.");
  const oldest = gauge("taskloom.queue.oldest_wait", "Seconds that the oldest runnable job has waited.", "s");
  const paused = gauge("taskloom.queue.paused", "1 while workers take no jobs of the queue.");
  const live = gauge("taskloom.workers", "Workers at the engine with a recent record.");
  const all = [jobs, oldest, paused, live];
  const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = async (result) => {
    const [queues, workers] = await Promise.all([operations.queues(), operations.workers()]);
    result.observe(live, workers.length);
    for (const [queue, view] of Object.entries(queues)) {
      result.observe(paused, view.isPaused ? 1 : 0, { queue });
      for (const lane of lanes) {
        const { oldestWait, ...states } = view[lane];
        result.observe(oldest, oldestWait / 1_000, { queue, lane });
        for (const [state, count] of Object.entries(states))
          result.observe(jobs, count, { queue, lane, state });
      }
    }
  };
  meter.addBatchObservableCallback(observe, all);
  return () => meter.removeBatchObservableCallback(observe, all);
}

/** Adds the metrics of the queues of an engine; returns a function that ends them. */
export function openQueueMeters(engine: Engine, queues: readonly string[]): () => Promise<void> {
  const operations = new EngineOperations(engine, queues);
  const remove = addQueueMeters(operations);
  return async () => {
    remove();
    await operations.close();
  };
}
