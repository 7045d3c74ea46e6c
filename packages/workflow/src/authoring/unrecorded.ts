import { getEventLoop } from "@taskloom/loop";
import { runHere } from "./here.ts";

/**
 * Returns the time in milliseconds since 1970: that of the current tick, which a replay sees again. Outside a run it is
 * `Date.now()`, and in virtual time the loop's time.
 *
 * @example
 * ```ts
 * import { now } from "@taskloom/workflow";
 *
 * console.log(now() > 1_700_000_000_000); // true
 * ```
 */
export function now(): number {
  const run = runHere();
  if (run !== null) return run.time;
  const loop = getEventLoop();
  return loop.isVirtual() ? loop.time() : Date.now();
}

/**
 * Returns a random number from 0 up to and without 1. In a run it comes from the run's seed, so a replay gets the same
 * one, and it costs no entry of the journal.
 *
 * @example
 * ```ts
 * import { random } from "@taskloom/workflow";
 *
 * console.log(random() < 1); // true
 * ```
 */
export function random(): number {
  return runHere()?.seeded.random() ?? Math.random();
}

/**
 * Returns a UUID of version 4. In a run it comes from the run's seed.
 *
 * @example
 * ```ts
 * import { uuid } from "@taskloom/workflow";
 *
 * console.log(uuid().length); // 36
 * ```
 */
export function uuid(): string {
  return runHere()?.seeded.uuid() ?? crypto.randomUUID();
}
