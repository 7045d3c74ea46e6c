import type { JobMetrics } from "./job-metrics.ts";

/**
 * The metrics of a worker, which are loaded with its first job or its first reading. An idle worker that nobody asks
 * neither loads the library of the metrics nor measures its garbage collections.
 */
export class LateMetrics {
  readonly #worker: string;
  #loading: Promise<JobMetrics> | undefined;
  #loaded: JobMetrics | undefined;
  /** The records that were made while the metrics were being loaded. */
  #waiting: ((metrics: JobMetrics) => void)[] = [];

  /** @param worker the value of the label `worker` of each metric. */
  constructor(worker: string) {
    this.#worker = worker;
  }

  /** The metrics, if anything has loaded them. */
  get loaded(): JobMetrics | undefined {
    return this.#loaded;
  }

  /** Changes the metrics now, or as soon as they are loaded. */
  record(change: (metrics: JobMetrics) => void): void {
    if (this.#loaded !== undefined) return change(this.#loaded);
    this.#waiting.push(change);
    this.load().catch(() => {}); // The next reading rejects with the error.
  }

  async load(): Promise<JobMetrics> {
    this.#loading ??= this.#open();
    return await this.#loading;
  }

  async #open(): Promise<JobMetrics> {
    const { JobMetrics } = await import("./job-metrics.ts");
    const metrics = new JobMetrics(this.#worker);
    for (const change of this.#waiting.splice(0)) change(metrics);
    this.#loaded = metrics;
    return metrics;
  }
}
