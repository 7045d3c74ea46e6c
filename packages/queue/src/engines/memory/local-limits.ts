import type {
  AskedLimit,
  LimitAnswer,
  LimitEntry,
  LimitPlace,
  LimitState,
  LimitTerms,
  TaskLimits,
} from "../../contract/task-limits.ts";
import { Ledger } from "../limits/ledger.ts";
import type { LedgerJob, LedgerRows, LineEntry, Slot } from "../limits/ledger-rows.ts";
import type { MemoryLane, Now } from "./memory-lane.ts";

/** One limit of a lane in memory. */
interface LocalLimit {
  readonly slots: Slot[];
  /** In the order of the ranks. */
  readonly line: LineEntry[];
}

/** The rows of the limits of one lane in memory. */
class LocalRows implements LedgerRows {
  readonly #lane: MemoryLane;
  readonly #terms = new Map<string, LimitTerms>();
  readonly #limits = new Map<string, LocalLimit>();
  #rank = 0;

  constructor(lane: MemoryLane) {
    this.#lane = lane;
  }

  #of(limit: string): LocalLimit {
    return this.#limits.get(limit) ?? { slots: [], line: [] };
  }

  #change(limit: string): LocalLimit {
    const found = this.#of(limit);
    this.#limits.set(limit, found);
    return found;
  }

  #dropIfEmpty(limit: string): void {
    const { slots, line } = this.#of(limit);
    if (slots.length === 0 && line.length === 0) this.#limits.delete(limit);
  }

  terms(limit: string): LimitTerms | undefined {
    return this.#terms.get(limit);
  }

  putTerms({ name, max, window }: LimitTerms): void {
    this.#terms.set(name, { name, max, window });
  }

  dropTerms(limit: string): void {
    this.#terms.delete(limit);
  }

  termsAfter(name: string, count: number): LimitTerms[] {
    const behind = [...this.#terms.values()].filter((each) => each.name > name);
    return behind.toSorted((a, b) => (a.name < b.name ? -1 : 1)).slice(0, count);
  }

  nextRank(): number {
    return ++this.#rank;
  }

  countSlots(limit: string): number {
    return this.#of(limit).slots.length;
  }

  slots(limit: string): Slot[] {
    return this.#of(limit).slots.toSorted((a, b) => a.until - b.until);
  }

  slot(limit: string, id: string, token: string): Slot | undefined {
    return this.#of(limit).slots.find((each) => each.id === id && each.token === token);
  }

  hasSlot(limit: string, id: string): boolean {
    return this.#of(limit).slots.some((each) => each.id === id);
  }

  addSlot(limit: string, slot: Slot): void {
    this.#change(limit).slots.push(slot);
  }

  dropSlot(limit: string, id: string, token: string): void {
    const { slots } = this.#of(limit);
    const at = slots.findIndex((each) => each.id === id && each.token === token);
    if (at >= 0) slots.splice(at, 1);
    this.#dropIfEmpty(limit);
  }

  dropSlotsUntil(limit: string, now: number): void {
    for (const { id, token, until } of this.slots(limit)) if (until <= now) this.dropSlot(limit, id, token);
  }

  countLine(limit: string): number {
    return this.#of(limit).line.length;
  }

  countAhead(limit: string, rank: number): number {
    return firstBehind(this.#of(limit).line, rank - 1);
  }

  lineAfter(limit: string, rank: number, count: number): LineEntry[] {
    const { line } = this.#of(limit);
    const from = firstBehind(line, rank);
    return line.slice(from, from + count);
  }

  entry(limit: string, id: string): LineEntry | undefined {
    return this.#of(limit).line.find((each) => each.id === id);
  }

  hasParked(limit: string): boolean {
    return this.#of(limit).line.some(({ hold }) => hold === undefined);
  }

  putEntry(limit: string, entry: LineEntry): void {
    this.dropEntry(limit, entry.id);
    const { line } = this.#change(limit);
    line.splice(firstBehind(line, entry.rank), 0, entry);
  }

  dropEntry(limit: string, id: string): void {
    const { line } = this.#of(limit);
    const at = line.findIndex((each) => each.id === id);
    if (at >= 0) line.splice(at, 1);
    this.#dropIfEmpty(limit);
  }

  linesOf(id: string): string[] {
    return [...this.#limits]
      .filter(([, { line }]) => line.some((each) => each.id === id))
      .map(([name]) => name);
  }

  job(id: string): LedgerJob | undefined {
    const job = this.#lane.find(id);
    if (job === undefined) return undefined;
    const { state, token } = job;
    return { hasEnded: state === "completed" || state === "failed", isDelayed: state === "delayed", token };
  }

  wakeJob(id: string): void {
    const job = this.#lane.find(id);
    if (job !== undefined) this.#lane.wakeParked(job);
  }
}

/** Returns the index of the first job of a line behind a rank. Ranks are whole numbers. */
function firstBehind(line: readonly LineEntry[], rank: number): number {
  let [low, high] = [0, line.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (line[middle]!.rank > rank) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The limits of tasks in memory. */
export class LocalLimits implements TaskLimits {
  readonly #lane: (name: string) => MemoryLane;
  readonly #now: Now;
  readonly #rows = new Map<string, LocalRows>();

  constructor(lane: (name: string) => MemoryLane, now: Now) {
    this.#lane = lane;
    this.#now = now;
  }

  #ledger(lane: string): Ledger {
    let rows = this.#rows.get(lane);
    if (rows === undefined) {
      rows = new LocalRows(this.#lane(lane));
      this.#rows.set(lane, rows);
    }
    return new Ledger(rows, this.#now());
  }

  async join(lane: string, entries: readonly LimitEntry[]): Promise<void> {
    this.#ledger(lane).join(entries);
  }

  async ask(lane: string, id: string, token: string, limits: readonly AskedLimit[]): Promise<LimitAnswer> {
    return this.#ledger(lane).ask(id, token, limits);
  }

  async release(
    lane: string,
    id: string,
    token: string,
    limits: readonly string[],
    isBack: boolean,
  ): Promise<void> {
    this.#ledger(lane).release(id, token, limits, isBack);
  }

  async wake(lane: string, limits: readonly string[]): Promise<void> {
    for (const limit of limits) this.#ledger(lane).wake(limit);
  }

  async sweep(lane: string): Promise<void> {
    this.#ledger(lane).sweep("", Infinity);
  }

  async drop(lane: string, limit: string): Promise<void> {
    this.#ledger(lane).drop(limit);
  }

  async list(lane: string): Promise<LimitState[]> {
    return this.#ledger(lane).list();
  }

  async place(lane: string, id: string): Promise<LimitPlace | undefined> {
    return this.#ledger(lane).place(id);
  }
}
