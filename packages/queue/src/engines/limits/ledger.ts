import { LINE_GRACE_MS, LONGEST_PARK_MS } from "../../contract/task-limits.ts";
import type {
  AskedLimit,
  LimitAnswer,
  LimitEntry,
  LimitPlace,
  LimitState,
  LimitTerms,
} from "../../contract/task-limits.ts";
import { ELSEWHERE } from "./ledger-rows.ts";
import type { LedgerRows, LineEntry } from "./ledger-rows.ts";

// The database thread of the embedded engine loads this module, so it imports no other package.

/** The number of jobs of a line that are read at a time. */
const PAGE = 64;

/**
 * The operations of {@link TaskLimits} on the limits of one lane, for engines whose rows this process reads and writes. Each
 * operation is one step: nothing else changes the rows meanwhile. The scripts of Redis and the functions of PostgreSQL follow
 * the same rules.
 */
export class Ledger {
  readonly #rows: LedgerRows;
  readonly #now: number;

  /** @param now the time of the engine's clock. */
  constructor(rows: LedgerRows, now: number) {
    this.#rows = rows;
    this.#now = now;
  }

  join(entries: readonly LimitEntry[]): void {
    for (const { id, limits } of entries) {
      const isKnown = (limit: string): boolean =>
        this.#rows.entry(limit, id) !== undefined || this.#rows.hasSlot(limit, id);
      if (limits.some(isKnown)) continue;
      const rank = this.#rows.nextRank();
      for (const limit of limits) this.#rows.putEntry(limit, { id, rank, hold: 0 });
    }
  }

  ask(id: string, token: string, limits: readonly AskedLimit[]): LimitAnswer {
    const rows = this.#rows;
    if (rows.job(id)?.token !== token) return { kind: "lost" };
    for (const terms of limits) rows.putTerms(terms);
    if (limits.every(({ name }) => rows.slot(name, id, token) !== undefined)) return { kind: "granted" };
    const rank =
      limits.map(({ name }) => rows.entry(name, id)?.rank).find((each) => each !== undefined) ??
      this.#rankOfOldSlot(id, limits) ??
      rows.nextRank();
    for (const terms of limits) {
      const until = this.#refusedUntil(terms, id, rank);
      if (until === undefined) continue;
      for (const { name } of limits) {
        if (name === terms.name) continue;
        if (terms.includesOthers) rows.putEntry(name, { id, rank, hold: ELSEWHERE });
        else rows.dropEntry(name, id);
      }
      rows.putEntry(terms.name, { id, rank, hold: undefined });
      return { kind: "refused", limit: terms.name, until };
    }
    for (const { name, window } of limits) {
      rows.dropEntry(name, id);
      rows.addSlot(name, { id, token, rank, until: window === 0 ? 0 : this.#now + window });
    }
    for (const { name } of limits) this.wake(name);
    return { kind: "granted" };
  }

  /** Frees the slots that an earlier run of the job has lost with its lock, and returns the place of the job. */
  #rankOfOldSlot(id: string, limits: readonly LimitTerms[]): number | undefined {
    let rank: number | undefined;
    for (const { name, window } of limits) {
      if (window > 0) continue;
      for (const slot of this.#rows.slots(name)) {
        if (slot.id !== id) continue;
        rank = slot.rank;
        this.#rows.dropSlot(name, id, slot.token);
      }
    }
    return rank;
  }

  /** Returns the time at which a refused job asks again; undefined if the limit has a slot for it. */
  #refusedUntil(terms: LimitTerms, id: string, rank: number): number | undefined {
    const { name, max, window } = terms;
    const free = this.#free(terms);
    if (free > 0) {
      const ahead = this.#front(name, free, rank, id);
      if (ahead.length < free) return undefined;
      const holds = this.#hold(name, ahead);
      const longest = window === 0 ? LONGEST_PARK_MS : Math.min(window, 1_000);
      return Math.min(this.#now + longest, ...holds);
    }
    if (window === 0) return this.#now + LONGEST_PARK_MS;
    // The job at place `n` of the line gets the slot of the `n`th start from now, or a slot of a later window.
    const ends = this.#rows.slots(name).map(({ until }) => until);
    const at = ends.length - max + this.#rows.countAhead(name, rank);
    const later = at - ends.length;
    const first = ends.length - max;
    return later < 0 ? ends[at]! : ends[first + (later % max)]! + window * (1 + Math.floor(later / max));
  }

  /** Returns the number of free slots. Slots of dead workers are free. */
  #free({ name, max, window }: LimitTerms): number {
    const rows = this.#rows;
    if (window > 0) rows.dropSlotsUntil(name, this.#now);
    const free = max - rows.countSlots(name);
    if (free > 0 || window > 0) return free;
    this.#dropDead(name);
    return max - rows.countSlots(name);
  }

  #dropDead(name: string): void {
    const rows = this.#rows;
    for (const { id, token, rank } of rows.slots(name)) {
      const job = rows.job(id);
      if (job?.token === token) continue;
      rows.dropSlot(name, id, token);
      if (job !== undefined && !job.hasEnded && rows.entry(name, id) === undefined)
        rows.putEntry(name, { id, rank, hold: this.#now + LINE_GRACE_MS });
    }
  }

  /** Returns the first jobs of a line that have to go before a job, at most `most`. Jobs that are gone are removed. */
  #front(name: string, most: number, before: number, asking?: string): LineEntry[] {
    const rows = this.#rows;
    const front: LineEntry[] = [];
    let after = -1;
    for (;;) {
      const page = rows.lineAfter(name, after, PAGE);
      for (const each of page) {
        if (each.rank >= before || front.length >= most) return front;
        after = each.rank;
        if (each.id === asking) continue;
        const entry = this.#present(name, each);
        if (entry !== undefined) front.push(entry);
      }
      if (page.length < PAGE) return front;
    }
  }

  /** Returns an entry that later jobs have to wait for. An entry without a job that can ask is removed. */
  #present(name: string, entry: LineEntry): LineEntry | undefined {
    const rows = this.#rows;
    const { id, hold } = entry;
    const job = rows.job(id);
    const isOver = hold !== undefined && hold > 0 && hold <= this.#now;
    // The record of a job that has joined may not be there yet.
    if (job === undefined ? hold === undefined || hold === ELSEWHERE || isOver : job.hasEnded) {
      rows.dropEntry(name, id);
      return undefined;
    }
    return isOver ? undefined : entry;
  }

  /** Bounds the time for which the jobs behind these entries wait for them, and returns the ends of that time. */
  #hold(name: string, ahead: readonly LineEntry[]): number[] {
    return ahead.flatMap((entry) => {
      if (entry.hold === undefined || entry.hold === ELSEWHERE) return [];
      const hold = entry.hold === 0 ? this.#now + LINE_GRACE_MS : entry.hold;
      if (entry.hold === 0) this.#rows.putEntry(name, { ...entry, hold });
      return [hold];
    });
  }

  release(id: string, token: string, limits: readonly string[], isBack: boolean): void {
    const rows = this.#rows;
    for (const name of limits) {
      const slot = rows.slot(name, id, token);
      if (slot === undefined || slot.until > 0) continue;
      rows.dropSlot(name, id, token);
      if (isBack) rows.putEntry(name, { id, rank: slot.rank, hold: 0 });
    }
    for (const name of limits) this.wake(name);
  }

  wake(name: string): void {
    const rows = this.#rows;
    const terms = rows.terms(name);
    if (terms === undefined) return;
    const isWaiting = rows.countLine(name) > 0;
    const free = isWaiting ? this.#free(terms) : 0;
    if (free > 0) {
      const front = this.#front(name, free, Infinity);
      for (const { id, hold } of front)
        if (hold === undefined && rows.job(id)?.isDelayed === true) rows.wakeJob(id);
      // Without a parked job nobody waits for the jobs that are on their way.
      if (rows.hasParked(name)) this.#hold(name, front);
    }
    if (rows.countLine(name) === 0 && rows.countSlots(name) === 0) rows.dropTerms(name);
  }

  /** Sweeps some of the limits, and returns the last of them; undefined if there are no more. */
  sweep(after: string, count: number): string | undefined {
    const page = this.#rows.termsAfter(after, count);
    for (const { name, window } of page) {
      if (window === 0) this.#dropDead(name);
      else this.#rows.dropSlotsUntil(name, this.#now);
      this.wake(name);
    }
    return page.length < count ? undefined : page.at(-1)?.name;
  }

  drop(name: string): void {
    const rows = this.#rows;
    for (const { id } of rows.lineAfter(name, -1, Infinity)) {
      rows.dropEntry(name, id);
      if (rows.job(id)?.isDelayed === true) rows.wakeJob(id);
    }
    for (const { id, token } of rows.slots(name)) rows.dropSlot(name, id, token);
    rows.dropTerms(name);
  }

  list(): LimitState[] {
    return this.#rows.termsAfter("", Infinity).map((terms) => this.#state(terms));
  }

  #state(terms: LimitTerms): LimitState {
    const { name, window } = terms;
    const rows = this.#rows;
    const taken = rows
      .slots(name)
      .filter(({ id, token, until }) => (window > 0 ? until > this.#now : rows.job(id)?.token === token));
    return { ...terms, taken: taken.length, waiting: rows.countLine(name) };
  }

  place(id: string): LimitPlace | undefined {
    const rows = this.#rows;
    for (const name of rows.linesOf(id)) {
      const [terms, entry] = [rows.terms(name), rows.entry(name, id)];
      if (terms === undefined || entry === undefined || entry.hold !== undefined) continue;
      return { ...this.#state(terms), ahead: rows.countAhead(name, entry.rank) };
    }
    return undefined;
  }
}
