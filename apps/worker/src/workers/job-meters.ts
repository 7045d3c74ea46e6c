import { ValueType, metrics } from "@opentelemetry/api";
import type { Attributes, Counter, Histogram, Observable } from "@opentelemetry/api";
import type { JobEvent, JobStart, WorkerStats } from "@taskloom/queue";
import { SECONDS } from "./seconds.ts";
import type { WorkerLane, WorkerView } from "./worker-view.ts";

/** The values of a worker that are read when the SDK collects metrics. */
export interface MeterSource {
  /** The last sample; undefined before the first one. */
  readonly view: Pick<WorkerView, "lanes" | "loop" | "admission"> | undefined;
  readonly runCounts: WorkerStats["runCounts"];
}

/**
 * The metrics of a worker for OpenTelemetry: the instruments of `JobMetrics`, with the same labels as attributes. They go
 * through the API to the meter provider of the process (`node --import ./metrics.ts`), which has to be registered before.
 */
export class JobMeters {
  readonly #worker: string;
  readonly #waited: Histogram;
  readonly #duration: Histogram;
  readonly #ended: Counter;
  readonly #unknown: Counter;
  readonly #stalls: Counter;
  readonly #stop: () => void;

  /**
   * @param worker the value of the attribute `worker` of each metric.
   * @param read is called when the SDK collects metrics.
   */
  constructor(worker: string, read: () => MeterSource) {
    this.#worker = worker;
    const meter = metrics.getMeter("taskloom");
    const seconds = { unit: "s", advice: { explicitBucketBoundaries: SECONDS } };
    this.#waited = meter.createHistogram("taskloom.job.wait", {
      ...seconds,
      description: "Seconds from the time a job could first run to its first start, by task.",
    });
    this.#duration = meter.createHistogram("taskloom.job.duration", {
      ...seconds,
      description: "Seconds that attempts ran, by task and end.",
    });
    const whole = { valueType: ValueType.INT };
    this.#ended = meter.createCounter("taskloom.job.attempts", {
      ...whole,
      description: "Ended attempts: completed, failed for good, cancelled, or retrying.",
    });
    this.#unknown = meter.createCounter("taskloom.unknown_jobs", {
      ...whole,
      description: "Jobs put back because this worker does not know their task or version.",
    });
    this.#stalls = meter.createCounter("taskloom.loop.stalls", {
      ...whole,
      description: "Times that the event loop was blocked for a second or more.",
    });
    const counter = (name: string, description: string): Observable =>
      meter.createObservableCounter(name, { ...whole, description });
    const gauge = (name: string, description: string, unit = ""): Observable =>
      meter.createObservableGauge(name, { description, unit });
    const appends = counter("taskloom.run.appends", "Appends to the histories of durable runs.");
    const replayed = counter("taskloom.run.replayed_ticks", "Ticks of durable runs that were replayed.");
    const divergences = counter(
      "taskloom.run.divergences",
      "Durable runs put back because the code of this worker does not follow their history.",
    );
    const running = gauge("taskloom.lane.running", "Jobs that run now, by lane.");
    const limit = gauge("taskloom.lane.limit", "Jobs that may run at once, by lane.");
    const loopDelay = gauge("taskloom.loop.delay", "Delay of the event loop in the last second.", "s");
    const utilization = gauge(
      "taskloom.loop.utilization",
      "Share of busy time of the event loop in the last second.",
    );
    const threads = gauge("taskloom.threads", "Threads for blocking tasks.");
    const throttled = gauge(
      "taskloom.admission.throttled",
      "1 while the loop lane runs fewer jobs because the event loop is late.",
    );
    const reductions = gauge(
      "taskloom.admission.reductions",
      "Times that the limit of the loop lane was lowered since the start.",
    );
    const observe = (result: {
      observe(metric: Observable, value: number, attributes: Attributes): void;
    }): void => {
      const set = (metric: Observable, value: number, attributes: Attributes = {}): void =>
        result.observe(metric, value, { worker, ...attributes });
      const { runCounts, view } = read();
      set(appends, runCounts.appends);
      set(replayed, runCounts.replayed);
      set(divergences, runCounts.divergences);
      if (view === undefined) return;
      const { lanes, loop, admission } = view;
      for (const [lane, each] of Object.entries<WorkerLane>(lanes)) {
        set(running, each.running, { lane });
        set(limit, each.limit, { lane });
      }
      set(loopDelay, loop.delayP50 / 1_000, { quantile: "0.5" });
      set(loopDelay, loop.delayP99 / 1_000, { quantile: "0.99" });
      set(loopDelay, loop.delayMax / 1_000, { quantile: "1" });
      set(utilization, loop.utilization);
      set(threads, lanes.thread.limit);
      set(throttled, admission.isThrottled ? 1 : 0);
      set(reductions, admission.reductions);
    };
    const perLane = [running, limit];
    const perWorker = [
      appends,
      replayed,
      divergences,
      loopDelay,
      utilization,
      threads,
      throttled,
      reductions,
    ];
    const all = [...perLane, ...perWorker];
    meter.addBatchObservableCallback(observe, all);
    this.#stop = () => meter.removeBatchObservableCallback(observe, all);
  }

  started({ queue, lane, name, attempt, waited }: JobStart): void {
    if (attempt === 1) this.#waited.record(waited / 1_000, { worker: this.#worker, queue, lane, task: name });
  }

  ended({ lane, name, state, duration }: JobEvent): void {
    const attributes = { worker: this.#worker, lane, task: name, state };
    this.#duration.record(duration / 1_000, attributes);
    this.#ended.add(1, attributes);
  }

  stalled(): void {
    this.#stalls.add(1, { worker: this.#worker });
  }

  unknown(task: string): void {
    this.#unknown.add(1, { worker: this.#worker, task });
  }

  /** Ends the values that are read at a collection. */
  stop(): void {
    this.#stop();
  }
}
