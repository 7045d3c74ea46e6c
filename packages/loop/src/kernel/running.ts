import { UsageError } from "../errors.ts";
import { strandStorage } from "./context.ts";
import type { EventLoop } from "./event-loop.ts";
import { machine } from "./machine.ts";

/** Loops whose `runForever` or `runUntilComplete` is pending, in the order they were started. */
export const activeLoops: EventLoop[] = [];

/** Makes loops; set by event-loop.ts, which must not be imported here: futures come before loops. */
export const loopFactory: { make: ((options: { automatic: boolean }) => EventLoop) | null } = { make: null };

let chosen: EventLoop | null = null;
let automatic: EventLoop | null = null;

/** The loop of the code that is running now: its step's, or the one of its `async` function's task; else a loop being run. */
export function runningLoop(): EventLoop | null {
  return insideLoop() ?? activeLoops.at(-1) ?? null;
}

/** The loop that this very code runs in, if any. */
export function insideLoop(): EventLoop | null {
  if (machine.loop !== null) return machine.loop;
  const strand = strandStorage.getStore();
  return strand !== undefined && strand._loop._active() ? strand._loop : null;
}

/** The loop for a free function: the running one, else `getEventLoop()`'s. */
export function currentLoop(): EventLoop {
  return runningLoop() ?? getEventLoop();
}

/**
 * The loop that is running. Throws a UsageError (`NO_RUNNING_LOOP`) outside any.
 *
 * ```ts
 * import { getRunningLoop, run } from "@taskloom/loop";
 * await run(async () => console.log(getRunningLoop().isRunning())); // true
 * ```
 */
export function getRunningLoop(): EventLoop {
  const loop = runningLoop();
  if (loop === null) {
    throw new UsageError("NO_RUNNING_LOOP", "no running event loop: call this from within run() or a task");
  }
  return loop;
}

/**
 * The running loop; outside any, the one given to `setEventLoop`, else the process's default loop, which
 * starts by itself whenever it has something to do.
 *
 * ```ts
 * import { getEventLoop } from "@taskloom/loop";
 *
 * console.log(getEventLoop() === getEventLoop()); // true
 * ```
 */
export function getEventLoop(): EventLoop {
  const running = runningLoop();
  if (running !== null) return running;
  if (chosen !== null && !chosen.isClosed()) return chosen;
  if (automatic === null || automatic.isClosed()) automatic = loopFactory.make!({ automatic: true });
  return automatic;
}

/**
 * Makes `loop` the one that `getEventLoop()` gives outside any running loop; null: the process's default again.
 *
 * ```ts
 * import { getEventLoop, newEventLoop, setEventLoop } from "@taskloom/loop";
 *
 * const loop = newEventLoop();
 * setEventLoop(loop);
 * console.log(getEventLoop() === loop); // true
 * setEventLoop(null);
 * loop.close();
 * ```
 */
export function setEventLoop(loop: EventLoop | null): void {
  chosen = loop;
}
