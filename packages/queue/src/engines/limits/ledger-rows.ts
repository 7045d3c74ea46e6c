import type { LimitTerms } from "../../contract/task-limits.ts";

/** A slot that a run has taken. */
export interface Slot {
  readonly id: string;
  readonly token: string;
  /** The place that the job had in the line. */
  readonly rank: number;
  /** The time at which the slot is free by itself; 0 for a slot that is held to the end of the run. */
  readonly until: number;
}

/** The hold of a job that keeps its place in a line, and waits for a slot of another limit. */
export const ELSEWHERE = -1;

/** A job in the line of a limit. */
export interface LineEntry {
  readonly id: string;
  readonly rank: number;
  /**
   * The time until which later jobs wait for a job that has not asked yet; 0 if none has waited so far. Undefined for a job
   * that has asked and is parked, and {@link ELSEWHERE} for one that is parked for a slot of another limit.
   */
  readonly hold: number | undefined;
}

/** The facts about a stored job on which a ledger decides. */
export interface LedgerJob {
  readonly hasEnded: boolean;
  readonly isDelayed: boolean;
  /** The token of the job's lock; undefined without a lock. */
  readonly token: string | undefined;
}

/** The rows of the limits of one lane, each call within the step of its operation. */
export interface LedgerRows {
  terms(limit: string): LimitTerms | undefined;
  putTerms(terms: LimitTerms): void;
  dropTerms(limit: string): void;
  /** Returns the limits behind a name, in the order of their names. */
  termsAfter(name: string, count: number): LimitTerms[];
  nextRank(): number;
  countSlots(limit: string): number;
  /** Returns the slots of a limit, in the order of `until`. */
  slots(limit: string): Slot[];
  slot(limit: string, id: string, token: string): Slot | undefined;
  /** Whether any run of a job has a slot. */
  hasSlot(limit: string, id: string): boolean;
  addSlot(limit: string, slot: Slot): void;
  dropSlot(limit: string, id: string, token: string): void;
  /** Frees the slots whose time is over. */
  dropSlotsUntil(limit: string, now: number): void;
  countLine(limit: string): number;
  /** Returns the number of jobs before a rank. */
  countAhead(limit: string, rank: number): number;
  /** Returns the jobs of a line behind a rank, in their order. */
  lineAfter(limit: string, rank: number, count: number): LineEntry[];
  entry(limit: string, id: string): LineEntry | undefined;
  /** Whether a job of the line waits for a slot of this limit. */
  hasParked(limit: string): boolean;
  putEntry(limit: string, entry: LineEntry): void;
  dropEntry(limit: string, id: string): void;
  /** Returns the limits in whose lines a job waits. */
  linesOf(id: string): string[];
  job(id: string): LedgerJob | undefined;
  /** Lets a delayed job wait in the place that it had before. */
  wakeJob(id: string): void;
}
