/** A run that stays in memory after it was parked. */
export interface Cached {
  dispose(): void;
}

/** The runs that were parked here last. If one of them comes back to this worker, nothing of it is replayed. */
export class RunCache<R extends Cached> {
  readonly #max: number;
  readonly #runs = new Map<string, R>();

  /** @param max the number of runs that are kept. */
  constructor(max = 1_000) {
    this.#max = max;
  }

  put(id: string, run: R): void {
    this.take(id)?.dispose();
    this.#runs.set(id, run);
    for (const [oldest, old] of this.#runs) {
      if (this.#runs.size <= this.#max) break;
      this.#runs.delete(oldest);
      old.dispose();
    }
  }

  /** Returns a run, which is then not in the cache any more. */
  take(id: string): R | undefined {
    const run = this.#runs.get(id);
    this.#runs.delete(id);
    return run;
  }

  clear(): void {
    for (const run of this.#runs.values()) run.dispose();
    this.#runs.clear();
  }
}
