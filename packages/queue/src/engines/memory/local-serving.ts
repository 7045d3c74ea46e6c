import type { ServingWorker } from "../../contract/serving.ts";

/** The live workers of an engine whose workers are all in this process; see `Engine.serve`. */
export class LocalServing {
  readonly #workers = new Map<string, ServingWorker>();

  serve(worker: ServingWorker): void {
    this.#workers.set(worker.id, worker);
  }

  stop(id: string): void {
    this.#workers.delete(id);
  }

  all(): ServingWorker[] {
    return [...this.#workers.values()];
  }
}
