import { type ServingWorker, servesFor } from "./serving.ts";

/** The live workers of an engine that lives in one process; see `Engine.serve`. */
export class LocalServing {
  readonly #workers = new Map<string, { readonly worker: ServingWorker; readonly until: number }>();

  serve(worker: ServingWorker, now: number): void {
    this.#workers.set(worker.id, { worker, until: now + servesFor });
  }

  stop(id: string): void {
    this.#workers.delete(id);
  }

  all(now: number): ServingWorker[] {
    for (const [id, { until }] of this.#workers) if (until <= now) this.#workers.delete(id);
    return [...this.#workers.values()].map(({ worker }) => worker);
  }
}
