import { workerOfToken } from "../../contract/cancellation.ts";
import { JOURNAL_PAGE, KEPT_KEYS, MAX_UNREAD, parkedUntil } from "../../contract/run-journal.ts";
import type {
  AppendAnswer,
  Continuation,
  DeliverAnswer,
  Delivery,
  OpenedRun,
  ParkAnswer,
  ParkTerms,
  RunAppend,
  RunHead,
  RunJournal,
} from "../../contract/run-journal.ts";
import type { MemoryJob } from "./memory-job.ts";
import type { MemoryLane, Now } from "./memory-lane.ts";

/** The journal of one run. */
interface StoredRun {
  epoch: number;
  generation: number;
  log: string[];
  /** The unread items. */
  readonly inbox: string[];
  read: number;
  deaths: number;
  /** The token of the owner; undefined for a run that was parked or released. */
  owner: string | undefined;
  readonly keys: string[];
  view: string | undefined;
}

/**
 * The journals of the runs in memory. A journal is kept beside its job, and goes with it. An operation has no `await`, so it
 * is atomic.
 */
export class LocalJournal implements RunJournal {
  readonly #laneOf: (name: string) => MemoryLane | undefined;
  readonly #now: Now;
  readonly #defer: (callback: () => void) => void;
  readonly #runs = new WeakMap<MemoryJob, StoredRun>();
  /** The jobs with unread items, by their lanes. */
  readonly #woken = new Map<string, Set<MemoryJob>>();
  readonly #listeners = new Map<string, (delivery: Delivery) => void>();

  /** @param defer calls back in a later turn of the loop. */
  constructor(
    laneOf: (name: string) => MemoryLane | undefined,
    now: Now,
    defer: (callback: () => void) => void,
  ) {
    this.#laneOf = laneOf;
    this.#now = now;
    this.#defer = defer;
  }

  #job(lane: string, id: string): MemoryJob | undefined {
    return this.#laneOf(lane)?.find(id);
  }

  #stored(lane: string, id: string): StoredRun | undefined {
    const job = this.#job(lane, id);
    return job && this.#runs.get(job);
  }

  /** Returns the journal of a job, which begins empty. */
  #runOf(job: MemoryJob): StoredRun {
    let run = this.#runs.get(job);
    if (run === undefined) {
      run = {
        epoch: 0,
        generation: 0,
        log: [],
        inbox: [],
        read: 0,
        deaths: 0,
        owner: undefined,
        keys: [],
        view: undefined,
      };
      this.#runs.set(job, run);
    }
    return run;
  }

  async open(lane: string, id: string, token: string, from = 0): Promise<OpenedRun | undefined> {
    const job = this.#job(lane, id);
    if (job === undefined || job.token !== token) return undefined;
    const run = this.#runOf(job);
    if (run.owner !== token) {
      run.epoch++;
      if (run.owner !== undefined) run.deaths++;
      run.owner = token;
    }
    return {
      ...headOf(run),
      entries: run.log.slice(from, from + JOURNAL_PAGE),
      inbox: run.inbox.slice(0, JOURNAL_PAGE),
    };
  }

  async read(lane: string, id: string, from: number, count: number): Promise<string[]> {
    const end = from + Math.min(count, JOURNAL_PAGE);
    return this.#stored(lane, id)?.log.slice(from, end) ?? [];
  }

  async readInbox(lane: string, id: string, from: number, count: number): Promise<string[]> {
    const run = this.#stored(lane, id);
    if (run === undefined) return [];
    const first = Math.max(0, from - run.read);
    return run.inbox.slice(first, first + Math.min(count, JOURNAL_PAGE));
  }

  async append(lane: string, appends: readonly RunAppend[]): Promise<AppendAnswer[]> {
    return appends.map((append) => this.#appendOne(lane, append));
  }

  #appendOne(lane: string, append: RunAppend): AppendAnswer {
    const job = this.#job(lane, append.id);
    if (job === undefined) return { kind: "lost" };
    const { at, entries, view } = append;
    const run = this.#runOf(job);
    const { log } = run;
    if (append.epoch < run.epoch || append.generation < run.generation) return { kind: "lost" };
    if (append.generation === run.generation && isRepeat(log, append)) {
      this.#consume(lane, job, run, append.consume);
      return okOf(run, append.known);
    }
    if (job.finishedOn !== undefined) return { kind: "lost" };
    if (append.generation === run.generation && at < log.length) return { kind: "lost" };
    run.epoch = append.epoch;
    run.owner ??= job.token;
    if (append.generation > run.generation || at > log.length) return shortOf(run);
    for (const entry of entries) log.push(entry);
    if (entries.length > 0 || append.consume > run.read) run.deaths = 0;
    if (view !== undefined) run.view = view;
    this.#consume(lane, job, run, append.consume);
    return okOf(run, append.known);
  }

  #consume(lane: string, job: MemoryJob, run: StoredRun, count: number): void {
    if (count > run.read) {
      run.inbox.splice(0, count - run.read);
      run.read = count;
    }
    if (run.inbox.length === 0) this.#woken.get(lane)?.delete(job);
  }

  async deliver(lane: string, id: string, items: readonly string[], key?: string): Promise<DeliverAnswer> {
    const job = this.#job(lane, id);
    if (job === undefined) return { kind: "gone" };
    if (job.finishedOn !== undefined) return { kind: "ended" };
    const run = this.#runOf(job);
    if (key !== undefined && run.keys.includes(key)) return { kind: "stored", unread: run.inbox.length };
    if (run.inbox.length + items.length > MAX_UNREAD) return { kind: "full" };
    if (key !== undefined && run.keys.push(key) > KEPT_KEYS) run.keys.shift();
    for (const item of items) run.inbox.push(item);
    if (items.length > 0) this.#wokenOf(lane).add(job);
    const { token } = job;
    if (token !== undefined) this.#defer(() => this.#listeners.get(workerOfToken(token))?.({ lane, id }));
    if (isParked(job)) this.#laneOf(lane)?.promote(job);
    return { kind: "stored", unread: run.inbox.length };
  }

  #wokenOf(lane: string): Set<MemoryJob> {
    let woken = this.#woken.get(lane);
    if (woken === undefined) this.#woken.set(lane, (woken = new Set()));
    return woken;
  }

  onDelivery(workerId: string, listener: (delivery: Delivery) => void): () => void {
    this.#listeners.set(workerId, listener);
    return () => this.#listeners.delete(workerId);
  }

  async park(lane: string, id: string, terms: ParkTerms): Promise<ParkAnswer> {
    const job = this.#job(lane, id);
    if (job === undefined || job.token !== terms.token) return "lost";
    const run = this.#runOf(job);
    if (terms.epoch < run.epoch || terms.generation < run.generation) return "lost";
    if (run.read + run.inbox.length > terms.read) return "news";
    run.owner = undefined;
    const now = this.#now();
    this.#laneOf(lane)?.delay(job, parkedUntil(terms.until, now) - now);
    return "parked";
  }

  async release(lane: string, id: string, epoch: number): Promise<void> {
    const run = this.#stored(lane, id);
    if (run?.epoch === epoch) run.owner = undefined;
  }

  async sweep(name: string): Promise<number> {
    const lane = this.#laneOf(name);
    let promoted = 0;
    for (const job of this.#woken.get(name) ?? []) {
      if (job.finishedOn !== undefined || lane?.find(job.id) !== job) {
        this.#woken.get(name)?.delete(job);
      } else if (isParked(job)) {
        lane.promote(job);
        promoted++;
      }
    }
    return promoted;
  }

  async continueAs(lane: string, id: string, next: Continuation): Promise<boolean> {
    const job = this.#job(lane, id);
    if (job === undefined || job.token !== next.token) return false;
    const run = this.#runOf(job);
    if (next.epoch < run.epoch) return false;
    if (next.generation === run.generation - 1) return true; // The answer to an earlier call was lost.
    if (next.generation !== run.generation) return false;
    run.epoch = next.epoch;
    run.generation++;
    run.log = [];
    run.deaths = 0;
    this.#consume(lane, job, run, next.consume);
    await job.updateData(next.data);
    job.name = next.name ?? job.name;
    return true;
  }

  async view(lane: string, ids: readonly string[]): Promise<(string | undefined)[]> {
    return ids.map((id) => this.#stored(lane, id)?.view);
  }

  async head(lane: string, id: string): Promise<RunHead | undefined> {
    const run = this.#stored(lane, id);
    return run && headOf(run);
  }

  /** A journal goes with its job. */
  async forget(): Promise<void> {}
}

/** A run that has started and is delayed. A job that is delayed before its first start keeps its delay. */
function isParked({ state, attemptsStarted }: MemoryJob): boolean {
  return state === "delayed" && attemptsStarted > 0;
}

/** Returns whether the log has the entries of an append already. */
function isRepeat(log: readonly string[], { at, entries }: RunAppend): boolean {
  return entries.length > 0 && at < log.length && log[at + entries.length - 1] === entries.at(-1);
}

function headOf({ epoch, generation, log, inbox, read, deaths, view }: StoredRun): RunHead {
  return { epoch, generation, length: log.length, read, unread: inbox.length, deaths, view };
}

function okOf({ inbox, read }: StoredRun, known = read): AppendAnswer {
  const first = Math.max(0, known - read);
  return { kind: "ok", unread: inbox.length, inbox: inbox.slice(first, first + JOURNAL_PAGE) };
}

function shortOf({ generation, log, read, inbox }: StoredRun): AppendAnswer {
  return {
    kind: "short",
    generation,
    length: log.length,
    last: log.at(-1),
    read,
    unread: inbox.length,
    inbox: inbox.slice(0, JOURNAL_PAGE),
  };
}
