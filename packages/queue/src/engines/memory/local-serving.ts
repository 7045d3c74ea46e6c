import type { ServingWorker } from "../../contract/serving.ts";

/** The live workers of an engine whose workers are all in this process; see `Engine.serve`. */
export class LocalServing {
  readonly #workers = new Map<string, ServingWorker>();

  /** Returns whether the worker is a new one. */
  serve(worker: ServingWorker): boolean {
    const isNew = !this.#workers.has(worker.id);
    this.#workers.set(worker.id, worker);
    return isNew;
  }

  stop(id: string): void {
    this.#workers.delete(id);
  }

  all(): ServingWorker[] {
    return [...this.#workers.values()];
  }
}
