import type { DeadlockError } from "../errors.ts";
import type { Clock } from "./clock.ts";
import { baseContext } from "./base-context.ts";
import type { LoopMonitor, UserLoop } from "./loop.ts";
import { LONGEST_DELAY } from "../timer.ts";
import { OneThread } from "./one-thread.ts";
import { RingBuffer } from "./ring-buffer.ts";
import type { Runnable } from "./runnable.ts";
import { TimerHeap } from "./timer-heap.ts";
import type { Timer } from "./timer-heap.ts";
import { turn } from "./turn.ts";

/**
 * The time for which iterations run without a break before libuv gets its turn. A request takes some ten
 * rounds through libuv, so this is a tenth of the delay that a busy loop adds to a request.
 */
const BUDGET_MS = 0.5;
/** The number of entries that run between two readings of the clock. */
const LOOK = 128;

/** Returns a random integer below `n`, by which a seeded exploration orders the ready entries of an iteration. */
export type Chooser = (n: number) => number;

/** The functions by which Node enters a loop. */
interface Entries {
  /** Begins a turn with a time budget of its own. */
  readonly fresh: () => void;
  /** Continues with the same budget, when the microtasks have drained. */
  readonly byTick: () => void;
  readonly byTimer: () => void;
}

/**
 * Turns and iterations.
 *
 * An iteration runs exactly the entries that were ready when it began (`#todo` counts the rest). A turn is a series
 * of iterations without libuv. A turn ends in one of four cases:
 *
 * - Its time budget is used up. The next turn follows by `setImmediate`, so that I/O is never starved.
 * - It has settled a native `await`. The microtasks drain, so that busy coroutines do not starve async functions,
 *   and the next turn follows in a tick.
 * - The ready queue is empty. The loop sleeps until code wakes it or its one libuv timer fires.
 * - The loop is stopped.
 *
 * `#awake` is true from the moment a turn is scheduled until the loop sleeps or stops. Code that adds an entry while
 * `#awake` is false schedules a turn.
 */
export abstract class Scheduler extends OneThread {
  /** @internal */
  readonly _timers: TimerHeap = new TimerHeap();
  /** @internal Whether this turn has settled a native await. */
  _settledNative = false;
  /** @internal Debug mode; null outside it. */
  _monitor: LoopMonitor | null = null;
  /** @internal */
  _chooser: Chooser | null = null;
  /** @internal */
  _iterations = 0;
  /** @internal The number of turns that have begun. Between two turns every microtask runs. */
  _turns = 0;
  /** @internal */
  protected _stopping = false;
  protected readonly _clock: Clock;
  readonly #ready = new RingBuffer<Runnable>();
  #awake = false;
  #todo = 0;
  #now = 0;
  #budgetEnd = 0;
  #isDrained = false;
  #drains = 0;
  #outside = 0;
  #holds = 0;
  #keepAlive: NodeJS.Timeout | null = null;
  #timer: NodeJS.Timeout | null = null;
  #armedFor = Infinity;
  #entries: Entries | null = null;

  protected constructor(clock: Clock) {
    super();
    this._clock = clock;
    clock.attach?.(() => {
      this._nudge();
      return this._active();
    });
  }

  /** @internal Returns this object in the type that users know. */
  abstract _asEventLoop(): UserLoop;
  /** @internal Whether the loop runs the entries of its ready queue. */
  abstract _active(): boolean;
  protected abstract _stopped(error?: Error): void;
  protected abstract _describeDeadlock(): DeadlockError | null;
  protected abstract _afterTurn(): void;

  /** Returns the loop's time in milliseconds, from an arbitrary start. */
  time(): number {
    return (this.#now = this._clock.now());
  }

  /**
   * Returns whether the loop's clock can pass time by itself, as `virtualClock()` of `@taskloom/loop/testing` can.
   *
   * ```ts
   * import { EventLoop } from "@taskloom/loop";
   * import { virtualClock } from "@taskloom/loop/testing";
   *
   * console.log(new EventLoop().isVirtual(), new EventLoop({ clock: virtualClock() }).isVirtual()); // false true
   * ```
   */
  isVirtual(): boolean {
    return this._clock.advanceTo !== undefined;
  }

  /** @internal Adds an entry to the ready queue. */
  _push(item: Runnable): void {
    this.#ready.push(item);
    if (!this.#awake) this._nudge();
  }

  /** @internal */
  _addTimer(when: number, timer: Timer): void {
    this._timers.add(when, timer);
    if (!this.#awake && this._active()) {
      if (this._clock.advanceTo !== undefined) this._nudge();
      else this.#arm();
    }
  }

  /** @internal Notes that a timer in the heap was cancelled. The last timer then stops keeping the process alive. */
  _timerCancelled(): void {
    this._timers.cancelled();
    if (!this.#awake && this._timers.live === 0) this.#disarm();
  }

  /** @internal Schedules a turn, if the loop runs. */
  _nudge(): void {
    if (this.#awake || !this._active()) return;
    this.#awake = true;
    setImmediate(this.#enter.fresh);
  }

  /**
   * @internal Notes the start of work that the loop cannot see, such as a native promise or a thread. A virtual clock
   * does not advance until its end.
   */
  _beginOutside(): void {
    this.#outside++;
  }

  /** @internal */
  _endOutside(): void {
    if (--this.#outside === 0 && this._clock.advanceTo !== undefined) this._nudge();
  }

  /** @internal Returns the error for work that a durable loop cannot record; null on every other loop. */
  _refusal(_work: string): Error | null {
    return null;
  }

  /** @internal Keeps the process alive until `_release()`. */
  _hold(): void {
    if (this.#holds++ > 0) return;
    if (this.#keepAlive === null) this.#keepAlive = setInterval(() => {}, LONGEST_DELAY);
    else this.#keepAlive.ref();
  }

  /** @internal */
  _release(): void {
    if (--this.#holds === 0) this.#keepAlive?.unref();
  }

  protected _clearQueues(): void {
    if (this.#ready.size > 0) this.#ready.clear();
    if (this._timers.size > 0) this._timers.clear();
    this.#todo = 0;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#keepAlive !== null) clearInterval(this.#keepAlive);
    this.#timer = this.#keepAlive = null;
    this.#armedFor = Infinity;
  }

  /** @internal */
  get _readySize(): number {
    return this.#ready.size;
  }

  #turn(): void {
    if (!this._active()) {
      this.#awake = false;
      return;
    }
    this._turns++;
    this._monitor?.turnBegins(this.#budgetEnd > 0);
    const outer = turn.loop;
    turn.loop = this._asEventLoop();
    try {
      this.#iterate();
    } catch (error) {
      // No code of this package throws here. Another error must not end the loop.
      setImmediate(this.#enter.fresh);
      throw error;
    } finally {
      turn.loop = outer;
      this._afterTurn();
      this._monitor?.turnEnds();
    }
  }

  /** The functions by which Node enters the loop. Loops that are driven by hand have none. */
  get #enter(): Entries {
    return (this.#entries ??= this.#makeEntries());
  }

  #makeEntries(): Entries {
    const turnNow = (): void => this.#turn();
    const byTurn = (): void => baseContext.runInAsyncScope(turnNow);
    const fresh = (): void => {
      this.#budgetEnd = 0;
      byTurn();
    };
    return {
      fresh,
      byTick: () => process.nextTick(byTurn),
      byTimer: () => {
        this.#timer = null;
        this.#armedFor = Infinity;
        if (this.#awake || !this._active()) return;
        this.#awake = true;
        fresh();
      },
    };
  }

  /**
   * @internal Runs iterations in one go, without a time budget: a wall clock that split one would show in the order of
   * microtasks. Only a loop that is driven by hand calls this method, and it schedules no turn by itself. Returns
   * `"native"` after an iteration that has settled a native `await`, because the microtasks have to drain then, and
   * `"endless"` after `limit` iterations.
   */
  protected _pump(limit: number): "idle" | "native" | "endless" {
    const ready = this.#ready;
    const timers = this._timers;
    this._turns++;
    this._monitor?.turnBegins(false);
    this.#now = this._clock.now();
    try {
      for (let left = limit; left > 0; left--) {
        if (timers.size > 0) {
          timers.sweep();
          while (timers.size > 0 && timers.earliest <= this.#now) ready.push(timers.shift());
        }
        let todo = ready.size;
        if (todo === 0) return "idle";
        this._iterations++;
        if (this._chooser !== null) ready.shuffle(todo, this._chooser);
        while (todo-- > 0) {
          if (this._monitor === null) ready.shift()._run();
          else this._monitor.run(ready.shift());
        }
        if (this._settledNative) {
          this._settledNative = false;
          return "native";
        }
      }
      return "endless";
    } finally {
      this._afterTurn();
      this._monitor?.turnEnds();
    }
  }

  #iterate(): void {
    const ready = this.#ready;
    const timers = this._timers;
    let look = LOOK;
    if (this.#budgetEnd === 0) this.#budgetEnd = performance.now() + BUDGET_MS;
    if (timers.size > 0) this.#now = this._clock.now();
    for (;;) {
      if (this.#todo === 0) {
        if (timers.size > 0) {
          timers.sweep();
          while (timers.size > 0 && timers.earliest <= this.#now) ready.push(timers.shift());
        }
        this.#todo = ready.size;
        if (this.#todo === 0 && !this._stopping) {
          if (this.#settle()) continue;
          return;
        }
        this.#isDrained = false;
        this._iterations++;
        if (this._chooser !== null) ready.shuffle(this.#todo, this._chooser);
      }
      while (this.#todo > 0) {
        this.#todo--;
        if (this._monitor === null) ready.shift()._run();
        else this._monitor.run(ready.shift());
        if (--look === 0) {
          look = LOOK;
          const now = performance.now();
          this.#now = this._clock.now();
          if (now >= this.#budgetEnd) {
            setImmediate(this.#enter.fresh);
            return;
          }
        }
      }
      if (this._stopping) {
        this._stopping = false;
        this.#awake = false;
        // A test that moves the clock must not wait for a loop that has ended.
        this._clock.advanceTo?.(undefined);
        this._stopped();
        // The process's default loop continues: its ready entries and its timers must still run.
        this._nudge();
        return;
      }
      if (this._settledNative) {
        this._settledNative = false;
        this.#drain();
        return;
      }
    }
  }

  /** Lets the microtasks run, and continues in a tick. If the budget is used up, it continues through libuv. */
  #drain(): void {
    // Sixteen drains take less than the budget. A reading of the clock costs a tenth of a drain.
    if ((++this.#drains & 15) === 0 && performance.now() >= this.#budgetEnd) setImmediate(this.#enter.fresh);
    else void RESOLVED.then(this.#enter.byTick);
  }

  /** Handles an empty ready queue. Returns true if time has passed and the turn continues. */
  #settle(): boolean {
    const clock = this._clock;
    if (clock.advanceTo === undefined) {
      this._settledNative = false;
      this.#awake = false;
      if (this._timers.live > 0) this.#arm();
      else this.#disarm();
      return false;
    }
    if (!this.#isDrained) {
      this.#isDrained = true;
      this._settledNative = false;
      this.#drain();
      return false;
    }
    this.#isDrained = false;
    this.#awake = false;
    if (this.#outside > 0) return false;
    // A timer at Infinity is never due. If it is the only one, the loop would wait for ever.
    if (this._timers.size > 0 && this._timers.earliest < Infinity) {
      if (clock.advanceTo(this._timers.earliest) === "stay") return false;
      this.#now = clock.now();
      this.#awake = true;
      return true;
    }
    if (clock.advanceTo(undefined) === "stay") return false;
    const deadlock = this._describeDeadlock();
    if (deadlock !== null) this._stopped(deadlock);
    return false;
  }

  #disarm(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#armedFor = Infinity;
  }

  /** Arms the libuv timer for the earliest deadline, unless the timer fires early enough already. */
  #arm(): void {
    this._timers.sweep();
    const when = this._timers.earliest;
    // A timer that is never due keeps the process alive, as any other timer. asyncio waits for ever, too.
    if (this.#timer !== null && when >= this.#armedFor) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#armedFor = when;
    const delay = Math.min(Math.max(Math.ceil(when - this._clock.now()), 1), LONGEST_DELAY);
    this.#timer = setTimeout(this.#enter.byTimer, delay);
  }
}

const RESOLVED = Promise.resolve();
