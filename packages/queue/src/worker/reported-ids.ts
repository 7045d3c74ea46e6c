/** The number of jobs that are remembered as reported. */
const MAX_REPORTED = 10_000;

/** The jobs on which a worker has reported once. After 10,000 jobs the list is empty again. */
export class ReportedIds {
  readonly #ids = new Set<string>();

  /** Returns whether a job was not reported before, and remembers it. */
  isFirst(id: string): boolean {
    if (this.#ids.has(id)) return false;
    if (this.#ids.size >= MAX_REPORTED) this.#ids.clear();
    this.#ids.add(id);
    return true;
  }
}
