/** The threads of a pool: their start, their idle times, and their end when nothing needs them. */
import { startTimer } from "@taskloom/loop/timer";
import type { LongTimer } from "@taskloom/loop/timer";
import { PoolThread } from "./pool-thread.ts";
import type { ThreadOwner } from "./pool-thread.ts";
import { Supervisor } from "./supervisor.ts";
import type { ThreadOptions } from "./supervisor.ts";

/** The options of a pool's threads. The executor fills in every field. */
export interface ThreadsOptions extends ThreadOptions {
  readonly minThreads: number;
  readonly maxThreads: number;
  readonly spareThreads: number;
  readonly idleTimeout: number;
  readonly recycleHeapMb: number;
}

/** The receiver of the events of a pool's threads. */
export interface ThreadsOwner extends ThreadOwner {
  /** True if no call will come and none is left, so that no thread is needed. */
  readonly isFinished: boolean;
  /** The number of calls that wait for a thread. */
  readonly backlog: number;
  /** A thread has started. */
  ready(): void;
  /** No thread runs, and none could be started. */
  failedToStart(error: unknown): void;
}

export class Threads {
  /** Every thread that was asked for and whose exit was not seen. */
  readonly all: Set<PoolThread> = new Set();
  readonly #options: ThreadsOptions;
  readonly #owner: ThreadsOwner;
  readonly #supervisor: Supervisor;
  /** Ready threads without calls. The last one in is the first one out, so that the others can end. */
  #idle: PoolThread[] = [];
  #busyCount = 0;
  #startingCount = 0;
  #failedStarts = 0;
  #shrinkTimer: LongTimer | undefined;

  constructor(options: ThreadsOptions, owner: ThreadsOwner) {
    this.#options = options;
    this.#owner = owner;
    // A thread that is being ended still counts for Piscina, and its successor needs a place.
    this.#supervisor = new Supervisor(options, 2 * (options.maxThreads + options.spareThreads) + 8);
    for (let i = 0; i < options.minThreads; i++) this.#start();
  }

  get startingCount(): number {
    return this.#startingCount;
  }

  /** The number of threads with calls. */
  get busyCount(): number {
    return this.#busyCount;
  }

  /** The number of idle threads that may take calls now. */
  get freeCount(): number {
    return Math.max(0, Math.min(this.#idle.length, this.#options.maxThreads - this.#busyCount));
  }

  /** The number of waiting calls that threads which are starting will take. */
  get expectedCount(): number {
    return Math.min(this.#startingCount, this.#options.maxThreads - this.#busyCount);
  }

  /** Returns the idle thread that takes the next call, and leaves it idle. */
  peekIdle(): PoolThread | undefined {
    return this.#idle.at(-1);
  }

  takeIdle(): PoolThread | undefined {
    return this.#idle.pop();
  }

  /** Makes a thread that has taken no call idle again. */
  putIdle(thread: PoolThread): void {
    this.#idle.push(thread);
  }

  /** Makes a thread idle, behind all other threads. */
  putIdleLast(thread: PoolThread): void {
    this.#idle.unshift(thread);
  }

  /** Makes a thread idle whose calls have ended. */
  release(thread: PoolThread): void {
    this.#idle.push(thread);
    this.#startShrink();
  }

  occupy(thread: PoolThread): void {
    thread.isOccupied = true;
    this.#busyCount++;
  }

  vacate(thread: PoolThread): void {
    if (!thread.isOccupied) return;
    thread.isOccupied = false;
    this.#busyCount--;
  }

  /** Removes a thread whose exit was seen. */
  remove(thread: PoolThread): void {
    this.vacate(thread);
    this.all.delete(thread);
    this.#idle = this.#idle.filter((idle) => idle !== thread);
  }

  /**
   * Starts the threads that the present calls lack. Without calls it starts no spare thread either, because such a
   * thread would end after `idleTimeout`, and its end would start the next one, without end.
   */
  grow(): void {
    if (this.#owner.isFinished) return;
    const { maxThreads, spareThreads, minThreads } = this.#options;
    const calls = this.#busyCount + this.#owner.backlog;
    const wanted = calls === 0 ? 0 : Math.min(calls, maxThreads) + spareThreads;
    const present = this.#startingCount + this.#busyCount + this.#idle.length;
    for (let i = present; i < Math.max(wanted, minThreads); i++) this.#start();
  }

  #start(): void {
    const thread = new PoolThread(this.#owner);
    this.all.add(thread);
    this.#startingCount++;
    thread.start(this.#supervisor, this.#options.recycleHeapMb !== Infinity).then(
      () => {
        this.#startingCount--;
        this.#failedStarts = 0;
        // The other threads go first, because they have loaded functions.
        this.putIdleLast(thread);
        this.#startShrink();
        this.#owner.ready();
      },
      (error: unknown) => {
        this.#startingCount--;
        this.all.delete(thread);
        thread.abandon();
        this.#startFailed(error);
      },
    );
  }

  #startFailed(error: unknown): void {
    if (this.#owner.isFinished) return;
    // One failure can be an accident. After two in a row the waiting calls fail, because no thread will come.
    if (++this.#failedStarts < 2) {
      this.grow();
      return;
    }
    // Threads that run or still start take the waiting calls. The next call tries again to start more threads.
    if (this.#busyCount + this.#idle.length + this.#startingCount > 0) return;
    this.#failedStarts = 0;
    this.#owner.failedToStart(error);
  }

  #startShrink(): void {
    this.#shrinkTimer ??= startTimer(this.#options.idleTimeout, () => this.#shrink()).unref();
  }

  #shrink(): void {
    this.#shrinkTimer = undefined;
    const { idleTimeout, spareThreads, minThreads } = this.#options;
    const now = performance.now();
    // While calls run, the spare threads are kept for them.
    const kept = Math.max(minThreads, this.#busyCount > 0 ? this.#busyCount + spareThreads : 0);
    let alive = this.#startingCount + this.#busyCount + this.#idle.length;
    // The thread that has been idle longest is the first one.
    this.#idle = this.#idle.filter((thread) => {
      if (alive <= kept || now - thread.idleSince < idleTimeout - 1) return true;
      alive--;
      thread.retire();
      return false;
    });
    if (this.#idle.length > 0 && alive > kept) this.#startShrink();
  }

  /** Ends every thread; resolves when the threads are gone. */
  async close(): Promise<void> {
    this.#shrinkTimer?.cancel();
    for (const thread of this.all) if (thread.state !== "starting") thread.stop();
    await this.#supervisor.destroy();
  }
}
