import { AggregatorRegistry, Gauge, Registry } from "prom-client";
import type { MetricObjectWithValues, MetricValue } from "prom-client";
import type { Operations } from "./operations.ts";

/** A registry's numbers as they travel from a worker process to the service. */
export type MetricsSnapshot = readonly MetricObjectWithValues<MetricValue<string>>[];

/** All that `/metrics` shows: what is in the queues, and what each worker of this service has measured. */
export class ServiceMetrics {
  readonly contentType: string = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #registry = new Registry();
  readonly #operations: Operations;
  readonly #workers: () => Promise<readonly MetricsSnapshot[]>;
  readonly #jobs: Gauge;
  readonly #oldest: Gauge;
  readonly #paused: Gauge;
  readonly #known: Gauge;

  constructor(operations: Operations, workers: () => Promise<readonly MetricsSnapshot[]>) {
    this.#operations = operations;
    this.#workers = workers;
    const gauge = (name: string, help: string, labelNames: string[]): Gauge =>
      new Gauge({ name, help, labelNames, registers: [this.#registry] });
    this.#jobs = gauge(
      "taskloom_queue_jobs",
      "Jobs by queue, lane and state; cancelled ones count as completed.",
      ["queue", "lane", "state"],
    );
    this.#oldest = gauge(
      "taskloom_queue_oldest_wait_seconds",
      "How long the oldest job that could run has waited.",
      ["queue", "lane"],
    );
    this.#paused = gauge("taskloom_queue_paused", "1 while workers take no jobs of the queue.", ["queue"]);
    this.#known = gauge("taskloom_workers", "Workers at the engine that have told of themselves lately.", []);
  }

  /** Prometheus text. A worker's own numbers carry its name, so that nothing is added up that should not be. */
  async text(): Promise<string> {
    await this.#look();
    const own = await this.#registry.getMetricsAsJSON();
    const all = [own, ...(await this.#workers())];
    return await AggregatorRegistry.aggregate(all).metrics();
  }

  async #look(): Promise<void> {
    const [queues, workers] = await Promise.all([this.#operations.queues(), this.#operations.workers()]);
    this.#known.set(workers.length);
    for (const [queue, view] of Object.entries(queues)) {
      this.#paused.set({ queue }, view.isPaused ? 1 : 0);
      for (const lane of ["loop", "thread"] as const) {
        const { oldestWait, ...states } = view[lane];
        this.#oldest.set({ queue, lane }, oldestWait / 1_000);
        for (const [state, count] of Object.entries(states)) this.#jobs.set({ queue, lane, state }, count);
      }
    }
  }
}
