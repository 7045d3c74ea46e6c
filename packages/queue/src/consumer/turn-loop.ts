import { setTimeout as delay } from "node:timers/promises";
import { pauseBeforeRepeat } from "../contract/transient.ts";
import type { LanePlaces } from "../contract/engine-worker.ts";
import { MAX_ENDS } from "../contract/lane-driver.ts";
import type { ClaimTerms, ClaimedRecord, LaneTurns, RunEnd, TurnAnswer } from "../contract/lane-driver.ts";
import type { JobWait } from "./job-wait.ts";
import { asError } from "../as-error.ts";

/** The most turns of the event loop for which ends are gathered: about 0.5 ms each if the loop is busy. */
const GATHERING_TURNS = 8;

/** The parts of a worker that its turns need. */
export interface TurnLoopOptions {
  readonly turns: LaneTurns;
  readonly wait: Pick<JobWait, "news">;
  readonly terms: Omit<ClaimTerms, "count" | "token">;
  /** The worker's id, with which the tokens of its locks begin. */
  readonly workerId: string;
  concurrency(): number;
  /** The places that the lane shares with others; without them, `concurrency` is the only limit. */
  readonly places?: LanePlaces | undefined;
  /** Receives the jobs of one claim. Each of them counts as running until its end is stored, or {@link TurnLoop.release}. */
  onJobs(jobs: readonly ClaimedRecord[], token: string): void;
  /** Notified of a claim that failed. It is repeated. */
  onError(error: unknown): void;
  /** The longest time without a claim because of a rate limit, in milliseconds. The limit may have been lifted meanwhile. */
  readonly longestLimit: number;
  isTransient(error: unknown): boolean;
}

/** An end that waits for its turn. */
interface Ending {
  readonly end: RunEnd;
  readonly resolve: (isDelivered: boolean) => void;
  readonly reject: (error: Error) => void;
  /** Whether the end has a turn of its own, since the engine refused a turn with several. */
  isAlone: boolean;
}

/**
 * The turns of one worker on its lane. One turn is on its way at a time: ends that come meanwhile go with the next one, so
 * turns grow with the load and nothing waits to be collected. A lane without jobs is asked again when there is news of it.
 */
export class TurnLoop {
  readonly #options: TurnLoopOptions;
  #ends: Ending[] = [];
  #running = 0;
  #tokens = 0;
  #failures = 0;
  #isOpen = false;
  #isTurning = false;
  #isWaiting = false;
  /** Whether the last claim took all jobs that can run. */
  #isDrained = false;
  /** Whether claims wait, for a rate limit or after a failure. */
  #isHeld = false;
  #isScheduled = false;
  #nextDue = 0;
  #whenIdle: (() => void) | undefined;

  constructor(options: TurnLoopOptions) {
    this.#options = options;
  }

  /** The number of jobs that run, or whose end is being stored. */
  get running(): number {
    return this.#running;
  }

  /** Takes jobs from now on. */
  open(): void {
    this.#isOpen = true;
    this.#pump();
  }

  /** Takes no more jobs. Ends are still stored. */
  shut(): void {
    this.#isOpen = false;
    this.#options.places?.rest();
  }

  /** Looks for jobs again if there is room for them. */
  wake(): void {
    this.#schedule();
  }

  /** Frees the place of a job that has no end to store. */
  release(): void {
    this.#running--;
    this.#options.places?.free(1);
    this.#schedule();
    this.#tellIdle();
  }

  /**
   * Stores the end of a run with the next turn, which frees the place of its job. Resolves with whether the turn has
   * executed the delivery of the end.
   *
   * @throws the error with which the engine refused it. The job keeps its place then.
   */
  store(end: RunEnd): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#ends.push({ end, resolve, reject, isAlone: false });
      // The end of a lone job leaves at once. Ends of many jobs come in the same turn of the event loop.
      if (this.#running === 1) this.#pump();
      else this.#schedule();
    });
  }

  /** Resolves when no job runs and no turn is on its way. */
  async idle(): Promise<void> {
    if (this.#running === 0 && !this.#isTurning) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenIdle = resolve;
    await promise;
  }

  #tellIdle(): void {
    if (this.#running === 0 && !this.#isTurning) this.#whenIdle?.();
  }

  /** Begins a turn soon; after the start of jobs in the next turn of the event loop, since quick jobs have ended by then. */
  #schedule(hasStarted = false): void {
    if (this.#isScheduled || this.#isTurning) return;
    this.#isScheduled = true;
    const gather = (): void => this.#gather(GATHERING_TURNS);
    if (hasStarted) setImmediate(gather);
    else process.nextTick(gather);
  }

  /**
   * Begins a turn of the lane when a turn of the event loop has brought no further end. The loop runs tasks for a part of a
   * millisecond in each of its turns, so jobs that were claimed together end in several turns. Without the wait, several
   * scripts would store their ends.
   */
  #gather(turnsLeft: number): void {
    const ended = this.#ends.length;
    if (ended === 0 || ended >= Math.min(MAX_ENDS, this.#running) || turnsLeft === 0) return this.#begin();
    setImmediate(() => (this.#ends.length > ended ? this.#gather(turnsLeft - 1) : this.#begin()));
  }

  #begin(): void {
    this.#isScheduled = false;
    this.#pump();
  }

  #pump(): void {
    if (this.#isTurning) return;
    const ends = this.#takeEnds();
    const count = this.#roomFor(ends.length);
    if (ends.length > 0 || count > 0) void this.#turn(ends, count);
    else if (this.#isOpen && this.#isDrained && !this.#isWaiting && !this.#isHeld && this.#hasRoom())
      void this.#wait();
  }

  #takeEnds(): Ending[] {
    const alone = this.#ends.findIndex(({ isAlone }) => isAlone);
    return this.#ends.splice(Math.max(alone, 0), alone < 0 ? MAX_ENDS : 1);
  }

  #hasRoom(): boolean {
    return this.#running < this.#options.concurrency() && (this.#options.places?.hasRoom() ?? true);
  }

  /** Returns how many jobs to claim together with so many ends. A worker that waits is notified of new jobs. */
  #roomFor(ends: number): number {
    const { turns, places } = this.#options;
    if (!this.#isOpen || this.#isDrained || this.#isWaiting || this.#isHeld) {
      if (ends > 0) places?.free(ends);
      return 0;
    }
    const room = this.#options.concurrency() - this.#running + ends;
    const wanted = Math.max(0, Math.min(room, turns.claimLimit ?? Infinity));
    return places === undefined ? wanted : places.reserve(wanted, ends);
  }

  async #turn(ends: readonly Ending[], count: number): Promise<void> {
    this.#isTurning = true;
    const { turns, terms, workerId, places } = this.#options;
    const token = `${workerId}:${this.#tokens++}`;
    let started = 0;
    try {
      const answer = await turns.turn(
        ends.map(({ end }) => end),
        count > 0 ? { ...terms, count, token } : undefined,
      );
      this.#settle(ends, answer);
      started = answer.jobs.length;
      if (count > started) places?.free(count - started);
      if (count > 0) this.#claimed(answer, count, token);
    } catch (error) {
      // Ends that are not stored keep their places.
      places?.free(count - ends.length);
      this.#refuse(ends, asError(error));
      if (count > 0) this.#claimFailed(error);
    } finally {
      this.#isTurning = false;
    }
    // The ends that wait already go with those of the jobs that start now: two groups of jobs whose ends took turns would
    // never meet again, and would need two turns in place of one.
    if (started > 0) this.#schedule(true);
    else if (this.#ends.length > 0) this.#pump();
    else this.#schedule();
    this.#tellIdle();
  }

  #settle(ends: readonly Ending[], { refusals, delivered }: TurnAnswer): void {
    for (const [at, { resolve, reject }] of ends.entries()) {
      const refusal = refusals[at];
      if (refusal !== undefined) {
        this.#options.places?.free(-1);
        reject(refusal);
      } else {
        this.#running--;
        resolve(delivered?.[at] === true);
      }
    }
  }

  /** Settles the ends of a turn that failed. If the error is about one of them, the others are stored without it. */
  #refuse(ends: readonly Ending[], error: Error): void {
    if (ends.length <= 1 || this.#options.isTransient(error)) {
      for (const { reject } of ends) reject(error);
      return;
    }
    for (const ending of ends) ending.isAlone = true;
    this.#ends.unshift(...ends);
  }

  #claimed({ jobs, limitedFor, nextDue, claimFailure }: TurnAnswer, count: number, token: string): void {
    this.#running += jobs.length;
    if (jobs.length > 0) this.#options.onJobs(jobs, token);
    if (claimFailure !== undefined) return this.#claimFailed(claimFailure);
    this.#failures = 0;
    if (limitedFor > 0) return this.#hold(Math.min(limitedFor, this.#options.longestLimit));
    this.#isDrained = jobs.length < count;
    if (this.#isDrained) this.#options.places?.rest();
    this.#nextDue = nextDue;
  }

  #claimFailed(error: unknown): void {
    this.#options.onError(error);
    this.#hold(pauseBeforeRepeat(++this.#failures));
  }

  /** Claims nothing for a while. */
  #hold(milliseconds: number): void {
    this.#isHeld = true;
    this.#options.places?.rest();
    void delay(milliseconds, undefined, { ref: false }).then(() => {
      this.#isHeld = false;
      this.#isDrained = false;
      this.#schedule();
    });
  }

  async #wait(): Promise<void> {
    this.#isWaiting = true;
    const { wait, places, turns } = this.#options;
    await wait.news(this.#nextDue);
    this.#isWaiting = false;
    this.#isDrained = false;
    // The news reaches one worker. The places of this one were taken by another shard meanwhile.
    if (places?.hasRoom() === false && this.#isOpen) void turns.passNewsOn?.().catch(() => {});
    this.#pump();
  }
}
