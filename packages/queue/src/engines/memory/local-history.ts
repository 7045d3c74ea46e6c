import { HISTORY_LENGTHS, bucketsOf, storedFigures } from "../../contract/history.ts";
import type { HistoryBucket, HistoryEntry, HistoryRange, StoredFigure } from "../../contract/history.ts";

/** The history of the queues in memory. */
export class LocalHistory {
  readonly #figures = new Map<string, StoredFigure>();

  add(entries: readonly HistoryEntry[], now: number): void {
    for (const figure of storedFigures(entries, now)) {
      const { length, start, queue, name, value, isPeak } = figure;
      const key = JSON.stringify([length, start, queue, name]);
      const before = this.#figures.get(key)?.value ?? 0;
      this.#figures.set(key, { ...figure, value: isPeak ? Math.max(before, value) : before + value });
    }
    for (const { length, keep } of HISTORY_LENGTHS)
      for (const [key, figure] of this.#figures)
        if (figure.length === length && figure.start < now - keep) this.#figures.delete(key);
  }

  read({ length, from, to }: HistoryRange): HistoryBucket[] {
    const figures = [...this.#figures.values()];
    return bucketsOf(
      figures.filter((each) => each.length === length && each.start >= from && each.start <= to),
    );
  }
}
