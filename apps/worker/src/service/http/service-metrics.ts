import { lanes } from "@taskloom/queue/operating";
import { AggregatorRegistry, Gauge, Registry } from "prom-client";
import type { Operations } from "../../operations/operations.ts";
import type { MetricsSnapshot } from "../../workers/job-metrics.ts";

/** The metrics that `/metrics` shows: the jobs of the queues, and the metrics of each worker of this service. */
export class ServiceMetrics {
  readonly contentType: string = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #registry = new Registry();
  readonly #operations: Operations;
  readonly #workers: () => Promise<readonly MetricsSnapshot[]>;
  readonly #jobs: Gauge;
  readonly #oldest: Gauge;
  readonly #paused: Gauge;
  readonly #live: Gauge;

  constructor(operations: Operations, workers: () => Promise<readonly MetricsSnapshot[]>) {
    this.#operations = operations;
    this.#workers = workers;
    const gauge = (name: string, help: string, labelNames: string[]): Gauge =>
      new Gauge({ name, help, labelNames, registers: [this.#registry] });
    this.#jobs = gauge("taskloom_queue_jobs", "Jobs by queue, lane and state.", ["queue", "lane", "state"]);
    this.#oldest = gauge(
      "taskloom_queue_oldest_wait_seconds",
      "Seconds that the oldest runnable job has waited.",
      ["queue", "lane"],
    );
    this.#paused = gauge("taskloom_queue_paused", "1 while workers take no jobs of the queue.", ["queue"]);
    this.#live = gauge("taskloom_workers", "Workers at the engine with a recent record.", []);
  }

  /** Returns Prometheus text. The metrics of a worker carry its name, so they are not summed over workers. */
  async text(): Promise<string> {
    await this.#update();
    const own = await this.#registry.getMetricsAsJSON();
    const all = [own, ...(await this.#workers())];
    return await AggregatorRegistry.aggregate(all).metrics();
  }

  async #update(): Promise<void> {
    const [queues, workers] = await Promise.all([this.#operations.queues(), this.#operations.workers()]);
    this.#live.set(workers.length);
    for (const [queue, view] of Object.entries(queues)) {
      this.#paused.set({ queue }, view.isPaused ? 1 : 0);
      for (const lane of lanes) {
        const { oldestWait, ...states } = view[lane];
        this.#oldest.set({ queue, lane }, oldestWait / 1_000);
        for (const [state, count] of Object.entries(states)) this.#jobs.set({ queue, lane, state }, count);
      }
    }
  }
}
