import type { JobEvent, JobStart, WorkerStats } from "@taskloom/queue";
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import type { MetricObjectWithValues, MetricValue } from "prom-client";
import { SECONDS } from "./seconds.ts";

/** The metrics of one registry, as a worker process sends them to its service. */
export type MetricsSnapshot = readonly MetricObjectWithValues<MetricValue<string>>[];

/** The Prometheus metrics of a worker: its jobs, its lanes, its event loop and its process. */
export class JobMetrics {
  readonly #registry = new Registry();
  readonly #waited: Histogram;
  readonly #duration: Histogram;
  readonly #ended: Counter;
  readonly #unknown: Counter;
  readonly #stalls: Counter;
  readonly #appends: Counter;
  readonly #replayed: Counter;
  readonly #divergences: Counter;
  readonly running: Gauge;
  readonly limit: Gauge;
  readonly loopDelay: Gauge;
  readonly loopUtilization: Gauge;
  readonly threads: Gauge;
  readonly throttled: Gauge;
  readonly reductions: Gauge;

  /** @param worker the value of the label `worker` of each metric. */
  constructor(worker: string) {
    this.#registry.setDefaultLabels({ worker });
    collectDefaultMetrics({ register: this.#registry });
    const registers = [this.#registry];
    this.#waited = new Histogram({
      name: "taskloom_job_wait_seconds",
      help: "Seconds from the time a job could first run to its first start, by task.",
      labelNames: ["queue", "lane", "task"],
      buckets: SECONDS,
      registers,
    });
    this.#duration = new Histogram({
      name: "taskloom_job_duration_seconds",
      help: "Seconds that attempts ran, by task and end.",
      labelNames: ["lane", "task", "state"],
      buckets: SECONDS,
      registers,
    });
    this.#ended = new Counter({
      name: "taskloom_job_attempts_total",
      help: "Ended attempts: completed, failed for good, cancelled, or retrying.",
      labelNames: ["lane", "task", "state"],
      registers,
    });
    this.#unknown = new Counter({
      name: "taskloom_unknown_jobs_total",
      help: "Jobs put back because this worker does not know their task or version.",
      labelNames: ["task"],
      registers,
    });
    this.#stalls = new Counter({
      name: "taskloom_loop_stalls_total",
      help: "Times that the event loop was blocked for a second or more.",
      registers,
    });
    const counter = (name: string, help: string): Counter => new Counter({ name, help, registers });
    this.#appends = counter("taskloom_run_appends_total", "Appends to the histories of durable runs.");
    this.#replayed = counter(
      "taskloom_run_replayed_ticks_total",
      "Ticks of durable runs that were replayed.",
    );
    this.#divergences = counter(
      "taskloom_run_divergences_total",
      "Durable runs put back because the code of this worker does not follow their history.",
    );
    const gauge = (name: string, help: string, labelNames: string[] = []): Gauge =>
      new Gauge({ name, help, labelNames, registers });
    this.running = gauge("taskloom_lane_running", "Jobs that run now, by lane.", ["lane"]);
    this.limit = gauge("taskloom_lane_limit", "Jobs that may run at once, by lane.", ["lane"]);
    this.loopDelay = gauge("taskloom_loop_delay_seconds", "Delay of the event loop in the last second.", [
      "quantile",
    ]);
    this.loopUtilization = gauge(
      "taskloom_loop_utilization",
      "Share of busy time of the event loop in the last second.",
    );
    this.threads = gauge("taskloom_threads", "Threads for blocking tasks.");
    this.throttled = gauge(
      "taskloom_admission_throttled",
      "1 while the loop lane runs fewer jobs because the event loop is late.",
    );
    this.reductions = gauge(
      "taskloom_admission_reductions",
      "Times that the limit of the loop lane was lowered since the start.",
    );
  }

  snapshot(): Promise<MetricsSnapshot> {
    return this.#registry.getMetricsAsJSON();
  }

  started({ queue, lane, name, attempt, waited }: JobStart): void {
    if (attempt === 1) this.#waited.observe({ queue, lane, task: name }, waited / 1_000);
  }

  ended({ lane, name, state, duration }: JobEvent): void {
    this.#duration.observe({ lane, task: name, state }, duration / 1_000);
    this.#ended.inc({ lane, task: name, state });
  }

  stalled(): void {
    this.#stalls.inc();
  }

  /** Takes over the counts of durable runs since the start. */
  runs({ appends, replayed, divergences }: WorkerStats["runCounts"]): void {
    for (const [counter, count] of [
      [this.#appends, appends],
      [this.#replayed, replayed],
      [this.#divergences, divergences],
    ] as const) {
      counter.reset();
      counter.inc(count);
    }
  }

  unknown(task: string): void {
    this.#unknown.inc({ task });
  }
}
