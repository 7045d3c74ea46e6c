import { UsageError } from "../errors.ts";
import { strandStorage } from "./context.ts";
import type { UserLoop } from "../kernel/loop.ts";
import { turn } from "../kernel/turn.ts";

/** Loops whose `runForever` or `runUntilComplete` is pending, in the order they were started. */
export const activeLoops: UserLoop[] = [];

let chosen: UserLoop | null = null;
let defaultLoop: UserLoop | null = null;
let makeDefaultLoop: (() => UserLoop) | null = null;

/** Sets how the process's default loop is made. event-loop.ts does so when it is loaded, since it is above this file. */
export function setDefaultLoopMaker(make: () => UserLoop): void {
  makeDefaultLoop = make;
}

/** Returns the loop of the running code: that of its step, or of its `async` function's task; else the active loop. */
export function runningLoop(): UserLoop | null {
  return insideLoop() ?? activeLoops.at(-1) ?? null;
}

/** Returns the loop that the calling code runs in, or null. */
export function insideLoop(): UserLoop | null {
  if (turn.loop !== null) return turn.loop._asEventLoop();
  const loop = strandStorage.getStore()?._loop;
  return loop !== undefined && loop._active() ? loop._asEventLoop() : null;
}

/** Returns the loop for a free function: the running loop, else that of `getEventLoop()`. */
export function currentLoop(): UserLoop {
  return runningLoop() ?? getEventLoop();
}

/**
 * Returns the running loop.
 *
 * @throws {@link UsageError} (`NO_RUNNING_LOOP`) outside any loop.
 *
 * ```ts
 * import { getRunningLoop, run } from "@taskloom/loop";
 * await run(async () => console.log(getRunningLoop().isRunning())); // true
 * ```
 */
export function getRunningLoop(): UserLoop {
  const loop = runningLoop();
  if (loop === null) {
    throw new UsageError("NO_RUNNING_LOOP", "no running event loop: call this from within run() or a task");
  }
  return loop;
}

/**
 * Returns the running loop. Outside any loop, returns the loop of `setEventLoop`, else the process's default loop,
 * which runs by itself whenever it has an entry or a timer.
 *
 * ```ts
 * import { getEventLoop } from "@taskloom/loop";
 *
 * console.log(getEventLoop() === getEventLoop()); // true
 * ```
 */
export function getEventLoop(): UserLoop {
  const running = runningLoop();
  if (running !== null) return running;
  if (chosen !== null && !chosen.isClosed()) return chosen;
  if (defaultLoop === null || defaultLoop.isClosed()) defaultLoop = makeDefaultLoop!();
  return defaultLoop;
}

/**
 * Makes `getEventLoop()` return `loop` outside any running loop; null restores the process's default loop.
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
export function setEventLoop(loop: UserLoop | null): void {
  chosen = loop;
}
