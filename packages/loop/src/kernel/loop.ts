import type { ExceptionContext } from "./exceptions.ts";
import type { Handle, TimerHandle } from "./handle.ts";
import type { Runnable } from "./runnable.ts";
import type { Timer } from "./timer-heap.ts";

/**
 * A loop, as far as its parts need it. `EventLoop` is the roof of the package and implements the whole interface. The
 * parts below name the interface, because an import of the roof would make one circle of nearly all files.
 *
 * The members in this file need no other layer. `task/task.ts` merges in the members that return futures and tasks.
 */
export interface Loop {
  time(): number;
  callSoon<A extends unknown[]>(callback: (...args: A) => unknown, ...args: A): Handle;
  callLater<A extends unknown[]>(delay: number, callback: (...args: A) => unknown, ...args: A): TimerHandle;
  callAt<A extends unknown[]>(when: number, callback: (...args: A) => unknown, ...args: A): TimerHandle;
  callExceptionHandler(context: ExceptionContext): void;
  isClosed(): boolean;
  getDebug(): boolean;
  /** The limit in milliseconds above which debug mode logs a callback that held the loop. */
  readonly slowCallbackDuration: number;
  /** @internal Returns this object in the type that users know. */
  _asEventLoop(): UserLoop;
  /** @internal Debug mode; null outside it. */
  readonly _monitor: LoopMonitor | null;
  /** @internal Whether this turn has settled a native await. */
  _settledNative: boolean;
  /** @internal The number of turns that have begun. Between two turns every microtask runs. */
  readonly _turns: number;
  /** @internal Whether the loop runs the entries of its ready queue. */
  _active(): boolean;
  /** @internal Throws a UsageError if the loop is closed. */
  _checkClosed(): void;
  /** @internal Puts an entry into the ready queue. */
  _push(item: Runnable): void;
  /** @internal */
  _addTimer(when: number, timer: Timer): void;
  /** @internal Notes that a timer in the heap was cancelled. */
  _timerCancelled(): void;
  /** @internal Schedules a turn, if the loop runs. */
  _nudge(): void;
  /** @internal Records the start of work that the loop cannot see; a virtual clock does not advance until its end. */
  _beginOutside(): void;
  /** @internal */
  _endOutside(): void;
  /** @internal Returns the error for work that a durable loop cannot record; null on every other loop. */
  _refusal(work: string): Error | null;
  /** @internal Keeps the process alive until `_release()`. */
  _hold(): void;
  /** @internal */
  _release(): void;
}

/** Debug mode, which the loop and its parts notify. `task/strand.ts` merges in the events of strands. */
export interface LoopMonitor {
  /** Remembers where a handle, a future or a task was made. */
  made(thing: object): void;
  /** Returns where an object was made. */
  sourceOf(thing: object): string | undefined;
  /** Runs an entry of the ready queue, and measures it. */
  run(item: Runnable): void;
  turnBegins(isTick: boolean): void;
  turnEnds(): void;
}

/** The types of higher layers, for `UserLoop`. `event-loop/event-loop.ts` merges in `eventLoop: EventLoop`. */
export interface LoopTypes {}

/** The type of loops in signatures that users see. Each loop is of this type, but only the roof may import it. */
export type UserLoop = LoopTypes["eventLoop"];
