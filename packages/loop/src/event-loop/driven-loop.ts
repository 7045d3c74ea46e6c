import { UsageError } from "../errors.ts";
import { baseContext } from "../kernel/base-context.ts";
import type { Clock } from "../kernel/clock.ts";
import { turn } from "../kernel/turn.ts";
import { machine } from "../task/machine.ts";
import type { Startable } from "../task/open.ts";
import type { Task, TaskOptions } from "../task/task.ts";
import { EventLoop } from "./event-loop.ts";

/** More iterations than this at one time are a loop that never comes to rest, such as `for (;;) yield* sleep(0)`. */
const MAX_ITERATIONS = 1_000_000;

const RESOLVED = Promise.resolve();

/** The time of a driven loop. It stands until `drive` moves it. */
class SteppedClock implements Clock {
  time: number;

  constructor(time: number) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }

  /** Never called: a driven loop has no turns of its own. Its presence keeps the loop from arming timers of libuv. */
  advanceTo(): "stay" {
    return "stay";
  }
}

/**
 * A loop that runs only while `drive` is called, and whose time stands in between. Its order is that of any other
 * loop, iteration for iteration. Nothing in it depends on the wall clock or on libuv: with generators, `drive` is one
 * synchronous call; with `async` functions, it lets the microtasks drain between the iterations.
 *
 * ```ts
 * import { DrivenLoop } from "@taskloom/loop/durable";
 * import { sleep } from "@taskloom/loop";
 *
 * const loop = new DrivenLoop(0);
 * const task = loop.createTask(function* () {
 *   yield* sleep(1000);
 *   return loop.time();
 * });
 * await loop.drive(0);
 * console.log(task.done(), loop.nextDeadline); // false 1000
 * await loop.drive(1000);
 * console.log(task.result()); // 1000
 * loop.close();
 * ```
 */
export class DrivenLoop extends EventLoop {
  readonly #clock: SteppedClock;
  #numbered = 0;
  #outside = 0;
  #isNative = false;
  #isDriven = false;
  #isEndless = false;

  /** @param time the loop's time at the start, in milliseconds. */
  constructor(time: number) {
    const clock = new SteppedClock(time);
    super({ clock, debug: false });
    this.#clock = clock;
  }

  /** The deadline of the next timer in milliseconds of `time()`; undefined if no timer can become due. */
  get nextDeadline(): number | undefined {
    this._timers.sweep();
    if (this._timers.size === 0) return undefined;
    const { earliest } = this._timers;
    return earliest < Infinity ? earliest : undefined;
  }

  /** Whether nothing is left on the loop: no task, no timer, no ready entry and no work outside. */
  get isUnused(): boolean {
    return (
      this._tasks.size === 0 &&
      this._timers.live === 0 &&
      this._readySize === 0 &&
      this.#outside === 0 &&
      !this.#isDriven
    );
  }

  /**
   * Makes an unused loop as new: its time, which may go back, and its count of tasks.
   *
   * @throws {@link UsageError} (`LOOP_RUNNING`) if something is left on the loop.
   */
  reset(time: number): void {
    this._checkClosed();
    if (!this.isUnused) {
      throw new UsageError("LOOP_RUNNING", "Cannot reset a loop that has tasks or timers: close it");
    }
    this._timers.clear();
    this.#clock.time = time;
    this.#numbered = 0;
    this.#isNative = false;
  }

  /** The number of pieces of work that the loop cannot see, such as native promises. */
  get outsideWork(): number {
    return this.#outside;
  }

  /**
   * Moves the time, calls `deliver`, and runs until nothing is ready. Timers that are due run behind the entries that
   * `deliver` made ready. Returns a promise only if `async` functions take part; it resolves when the microtasks have
   * drained and nothing is ready.
   *
   * @throws {@link UsageError} (`LOOP_ENDLESS`) if the loop does not come to rest.
   * @throws {@link UsageError} (`LOOP_RUNNING`) while another call is under way.
   */
  drive(time: number, deliver?: () => void): void | Promise<void> {
    this._checkClosed();
    if (this.#isDriven) {
      throw new UsageError("LOOP_RUNNING", "This loop is driven already: await the pending drive() first");
    }
    this.#clock.time = Math.max(time, this.#clock.time);
    this.#isDriven = true;
    let isPending = false;
    try {
      this.#enter(deliver);
      if (!this.#isNative) return undefined;
      isPending = true;
      return new Promise((resolve, reject) => this.#drain(0, resolve, reject));
    } finally {
      if (!isPending) this.#isDriven = false;
    }
  }

  /** Lets the microtasks drain, and runs again, until a drain has made nothing ready. */
  #drain(quiet: number, resolve: () => void, reject: (error: unknown) => void): void {
    // A tick that a microtask schedules comes after all microtasks, and those that they have made.
    void RESOLVED.then(() =>
      process.nextTick(() => {
        try {
          const before = this._iterations;
          if (!this.isClosed()) this.#enter(undefined);
          const isQuiet = before === this._iterations;
          // Work that is still outside gets a second drain, since a program's own ticks run behind this one.
          if (!isQuiet || (this.#outside > 0 && quiet === 0)) {
            this.#drain(isQuiet ? quiet + 1 : 0, resolve, reject);
            return;
          }
          this.#isDriven = false;
          resolve();
        } catch (error) {
          this.#isDriven = false;
          reject(error);
        }
      }),
    );
  }

  #enter(deliver: (() => void) | undefined): void {
    baseContext.runInAsyncScope(() => {
      // The caller may itself run in a turn, or in a step, of another loop.
      const { strand, awaited, called, inAsync, resumed } = machine;
      const outer = turn.loop;
      turn.loop = this;
      machine.strand = machine.awaited = machine.called = null;
      machine.inAsync = machine.resumed = false;
      try {
        this.turnBegins();
        deliver?.();
        const state = this._pump(MAX_ITERATIONS);
        if (state === "native") this.#isNative = true;
        if (state === "endless") this.#isEndless = true;
      } finally {
        this.turnEnds();
        turn.loop = outer;
        machine.strand = strand;
        machine.awaited = awaited;
        machine.called = called;
        machine.inAsync = inAsync;
        machine.resumed = resumed;
      }
    });
    if (this.#isEndless) {
      throw new UsageError(
        "LOOP_ENDLESS",
        `The loop does not come to rest after ${MAX_ITERATIONS} iterations: wait for a time or an event in the task that spins`,
      );
    }
  }

  /** Called before each synchronous stretch, for stand-ins of globals. */
  protected turnBegins(): void {}

  /** Called after each synchronous stretch. */
  protected turnEnds(): void {}

  /** Whether `drive` is under way. */
  get isDriven(): boolean {
    return this.#isDriven;
  }

  /** Makes a task as `EventLoop` does. Names are counted per loop, so that they do not depend on other loops. */
  override createTask<T>(work: Startable<T>, options: TaskOptions = {}): Task<T> {
    return super.createTask(work, { ...options, name: options.name ?? `Task-${++this.#numbered}` });
  }

  /** @internal */
  override _active(): boolean {
    return !this.isClosed();
  }

  /** @internal A driven loop schedules no turn. */
  override _nudge(): void {}

  /** @internal */
  override _beginOutside(): void {
    this.#outside++;
    this.#isNative = true;
  }

  /** @internal */
  override _endOutside(): void {
    this.#outside--;
  }

  /** @internal */
  override _hold(): void {}

  /** @internal */
  override _release(): void {}

  /** @throws {@link UsageError} (`LOOP_DRIVEN`) always. */
  override runForever(): Promise<void> {
    return Promise.reject(driven("runForever"));
  }

  /** @throws {@link UsageError} (`LOOP_DRIVEN`) always. */
  override runUntilComplete<T>(_work: Startable<T>): Promise<T> {
    return Promise.reject(driven("runUntilComplete"));
  }

  /** @throws {@link UsageError} (`LOOP_DRIVEN`) always. */
  override stop(): void {
    throw driven("stop");
  }
}

function driven(method: string): UsageError {
  return new UsageError(
    "LOOP_DRIVEN",
    `Cannot call ${method}() of a loop that is driven by hand: call drive()`,
  );
}
