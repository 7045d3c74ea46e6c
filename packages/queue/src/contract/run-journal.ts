import type { JobData } from "../wire/job-data.ts";

/**
 * The greatest number of log entries of one page, and of inbox items of one answer.
 */
export const JOURNAL_PAGE = 500;

/** The greatest number of unread items in the inbox of a run. */
export const MAX_UNREAD = 10_000;

/** The number of the last deliveries of a run whose keys are kept. */
export const KEPT_KEYS = 100;

/** The longest time for which a run is parked, in milliseconds: one year. A longer sleep is parked again. */
export const MAX_PARKED_MS: number = 365 * 86_400_000;

/**
 * The position of an owner in a run.
 *
 * The epoch counts the times that the run was opened, and names its owner. The generation counts the times that the run was
 * continued under the same id with an empty log. A run that was never opened is in epoch 0 and in generation 0.
 */
export interface RunPlace {
  readonly epoch: number;
  readonly generation: number;
}

/** The facts about a stored run that need no worker. */
export interface RunHead extends RunPlace {
  /** The number of entries in the log of this generation. */
  readonly length: number;
  /** The number of inbox items that the run has consumed, in all generations. */
  readonly read: number;
  /** The number of inbox items that the run has not consumed. */
  readonly unread: number;
  /**
   * The number of workers that died at this length of the log: the openings since the last progress that follow an owner
   * that has neither parked the run nor released it. Entries and consumed items are progress.
   */
  readonly deaths: number;
  /** The text that the last append with a view stored; undefined without one. */
  readonly view: string | undefined;
}

/** A run that was opened. */
export interface OpenedRun extends RunHead {
  /** The first entries from the position that the caller asked for, at most {@link JOURNAL_PAGE}. */
  readonly entries: readonly string[];
  /** The first unread items, at most {@link JOURNAL_PAGE}; the first one has the number `read`. */
  readonly inbox: readonly string[];
}

/** Entries for the log of one run, which are stored in one step or not at all. */
export interface RunAppend extends RunPlace {
  readonly id: string;
  /** The position of the first entry: the length of the log in the opinion of the owner. */
  readonly at: number;
  /** The entries; an append without entries consumes items, or stores a view. */
  readonly entries: readonly string[];
  /** The number of inbox items that the run has consumed with these entries, in all generations. */
  readonly consume: number;
  /**
   * The number of inbox items that the owner has received, in all generations: the answer has the later ones. Without it,
   * the answer has all unread items.
   */
  readonly known?: number;
  /** The new view; without it, the stored view stays. */
  readonly view?: string;
}

/** The answer to the append of one run. */
export type AppendAnswer =
  /** The entries are stored, by this append or by an earlier one whose answer was lost. */
  | {
      readonly kind: "ok";
      /** The number of unread items. */
      readonly unread: number;
      /** The first unread items that the owner has not received, at most {@link JOURNAL_PAGE}. */
      readonly inbox: readonly string[];
    }
  /**
   * The log is shorter than `at`, or of an earlier generation, because the engine lost its last writes. Nothing is stored,
   * and the epoch is the owner's again. The owner continues the run again if the generation is an earlier one. Then it
   * appends again from `length`, if the last stored entry is its own. It counts consumed items from `read` on, since the
   * engine may have lost items, too: `inbox` has those that are there.
   */
  | {
      readonly kind: "short";
      readonly generation: number;
      readonly length: number;
      /** The last stored entry; undefined for an empty log. */
      readonly last: string | undefined;
      readonly read: number;
      readonly unread: number;
      readonly inbox: readonly string[];
    }
  /** The run has another owner, or an end, or no job. Nothing is stored. */
  | { readonly kind: "lost" };

/** The answer to a delivery. */
export type DeliverAnswer =
  /** There is no job of this id. */
  | { readonly kind: "gone" }
  /** The run has ended. */
  | { readonly kind: "ended" }
  /** The inbox would have more than {@link MAX_UNREAD} unread items. None is stored. */
  | { readonly kind: "full" }
  /** The items are stored. */
  | { readonly kind: "stored"; readonly unread: number };

/** The answer to an owner that parks its run. */
export type ParkAnswer =
  /** The run is delayed, and its lock is free. */
  | "parked"
  /** There are unread items beyond those that the owner knows. The run is still its owner's. */
  | "news"
  /** The run has another owner, or no job. */
  | "lost";

/** The terms on which an owner parks its run. */
export interface ParkTerms extends RunPlace {
  /** The token of the run's lock. */
  readonly token: string;
  /** The number of inbox items that the owner knows, in all generations. */
  readonly read: number;
  /**
   * The time at which the run goes on by itself, in milliseconds of the engine's clock. It is at most
   * {@link MAX_PARKED_MS} ahead; a later time, and Infinity, count as that.
   */
  readonly until: number;
}

/** The next generation of a run. */
export interface Continuation extends RunPlace {
  /** The token of the run's lock. */
  readonly token: string;
  /** The number of inbox items that the run has consumed, in all generations. */
  readonly consume: number;
  /** The data of the job from now on, with the arguments of the next generation. */
  readonly data: JobData;
  /** The name of the job from now on; without it, the name stays. */
  readonly name?: string;
}

/** The news that a resident run has unread items. */
export interface Delivery {
  readonly lane: string;
  readonly id: string;
}

/**
 * The journals of durable runs.
 *
 * @remarks
 * A run is one job for its whole life: active while a worker has it in memory, delayed while it is parked. Its journal has
 * a **log**, to which only the owner of the run appends, and an **inbox**, to which everybody delivers. Runs are named by
 * the name of their lane and the id under which the job is stored. Entries, items and views are texts to an
 * engine: JSON, so no text has U+0000 or half a surrogate pair.
 *
 * The journal belongs to one job. A job that was removed and added again under the same id begins with an empty journal.
 *
 * Each operation is one atomic step on the journal and the job of one run. Each names the race that it decides:
 *
 * - {@link open}, {@link append}: two workers own a run. An append names its position, the first one there wins, and the
 *   other worker receives `lost`. Locks and epochs only make the loser notice earlier.
 * - {@link append}: an owner dies after it took items. The items are consumed by the append, and stay unread without it. An
 *   append whose answer was lost is sent again, and stored once.
 * - {@link deliver}, {@link park}: an item comes while the run is parked. Either the look of `park` sees the item, or
 *   `deliver` sees the parked job and wakes it. {@link sweep} wakes runs whose sender died in between, where an engine needs
 *   two steps for that.
 * - {@link continueAs}: an item comes while the log is emptied. The inbox stays, and the generation is a part of every
 *   position.
 * - {@link forget}: a job is removed while an owner appends. An append to a run without a job is `lost`.
 *
 * All operations can be repeated after a lost answer, and an engine may do so itself: a position, a token, a generation or a
 * key shows that an operation was executed before. Only `park` then answers `lost`, since the lock is free.
 *
 * Deliberately out of the interface: the end of a run, which is stored by the turn of its lane under the token of its lock,
 * after the answer to the last append. The turn also delivers the end to a parent, as {@link deliver} does. Where a driver
 * cannot do so, the delivery is a command that follows. A sender that dies between both has stored the end, so a parent
 * reads its jobs when it is opened, and from time to time.
 */
export interface RunJournal {
  /**
   * Takes the epoch of a run, if the job's lock is the caller's. From now on the appends of earlier owners are `lost`.
   *
   * The first start of a job needs no opening: its first append is in epoch 0 and generation 0, at position 0.
   *
   * @param token the token of the job's lock. A second call with the same token changes nothing, and returns the run again.
   * @param from the position of the first entry of the answer; a worker that has the run in its cache names its length. The
   *   cache is valid if the epoch has grown by one, and generation and length are those of the cache.
   * @returns the run; undefined if the lock is another's, or there is no job, or the run has ended.
   */
  open(lane: string, id: string, token: string, from?: number): Promise<OpenedRun | undefined>;
  /** Reads log entries of the current generation of any stored run, at most {@link JOURNAL_PAGE} of `count`. */
  read(lane: string, id: string, from: number, count: number): Promise<string[]>;
  /**
   * Reads unread items, at most {@link JOURNAL_PAGE} of `count`.
   *
   * @param from the number of the first item, in all generations. Consumed items are not stored any more, so the answer
   *   begins at {@link RunHead.read} at the earliest.
   */
  readInbox(lane: string, id: string, from: number, count: number): Promise<string[]>;
  /**
   * Appends to many runs, in as few commands as their texts allow, and answers each in order. The append of one run is never
   * divided. Several appends of one run are stored in their order.
   *
   * @throws if it is not known which appends are stored. The caller sends all of them again.
   */
  append(lane: string, appends: readonly RunAppend[]): Promise<AppendAnswer[]>;
  /**
   * Delivers items to a run, all or none, notifies its resident owner, and promotes its parked job. A job that is delayed
   * before its first start keeps its delay.
   *
   * @param key the name of the delivery. Items with one of the last {@link KEPT_KEYS} keys of the run are stored already, and
   *   are not stored again. Without a key, a delivery that is repeated after a lost answer is stored twice.
   */
  deliver(lane: string, id: string, items: readonly string[], key?: string): Promise<DeliverAnswer>;
  /**
   * Notifies `listener` of deliveries to the runs that a worker of this process has in memory. A notification may be lost, so
   * an owner also reads the answers to its appends, and the inbox from time to time.
   *
   * @param workerId the first part of the tokens of the worker's locks.
   * @returns a function that stops listening.
   */
  onDelivery(workerId: string, listener: (delivery: Delivery) => void): () => void;
  /** Parks a run: delays its job as BullMQ does, without an attempt, unless there are items that the owner does not know. */
  park(lane: string, id: string, terms: ParkTerms): Promise<ParkAnswer>;
  /**
   * Records that an owner hands its run back in good order, as at the stop of a worker, before the job is put back. The next
   * opening then counts no death.
   */
  release(lane: string, id: string, epoch: number): Promise<void>;
  /**
   * Promotes parked runs with unread items, and removes the journals of jobs that are gone. Workers call it each second.
   *
   * @returns the number of promoted runs.
   */
  sweep(lane: string): Promise<number>;
  /**
   * Begins the next generation of a run: empties its log, replaces the data of its job, and keeps the inbox. The call can be
   * repeated after a lost answer.
   *
   * @returns whether the run is in the next generation; false if it has another owner, or no job.
   */
  continueAs(lane: string, id: string, next: Continuation): Promise<boolean>;
  /** Reads the views of runs, in the order of the ids; undefined for a run without a view. */
  view(lane: string, ids: readonly string[]): Promise<(string | undefined)[]>;
  /** Reads the head of a run; undefined for a run without a journal. */
  head(lane: string, id: string): Promise<RunHead | undefined>;
  /** Removes the journals of runs whose jobs are gone. The journals of stored jobs stay. */
  forget(lane: string, ids: readonly string[]): Promise<void>;
}

/** Returns the time until which a run is parked, in milliseconds of the engine's clock. */
export function parkedUntil(until: number, now: number): number {
  return Math.floor(Math.min(until, now + MAX_PARKED_MS));
}
