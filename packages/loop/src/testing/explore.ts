import { TaskloomError } from "../errors.ts";
import { EventLoop } from "../event-loop/event-loop.ts";
import { Runner } from "../event-loop/runner.ts";
import type { Startable } from "../task/open.ts";
import { virtualClock } from "./virtual-clock.ts";

/** The options of `explore`. */
export interface ExploreOptions {
  /** The number of seeds to try (0, 1, 2 …), or the seeds themselves; 100 by default. */
  seeds?: number | Iterable<number> | undefined;
}

/**
 * A schedule under which a test fails. Code: `SCHEDULE_FAILED`.
 *
 * ```ts
 * import { explore, ScheduleError } from "@taskloom/loop/testing";
 *
 * const error = await explore(async () => {
 *   throw new Error("always");
 * }).catch((reason: unknown) => reason);
 * console.log(error instanceof ScheduleError && error.seed); // 0
 * ```
 */
export class ScheduleError extends TaskloomError {
  /** The seed of the schedule. `explore(test, { seeds: [seed] })` runs it again. */
  readonly seed: number;
  constructor(seed: number, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      "SCHEDULE_FAILED",
      `The test fails under the schedule of seed ${seed}: ${reason}\n` +
        `Replay it with explore(test, { seeds: [${seed}] })`,
      { cause },
    );
    this.seed = seed;
  }
}
Object.defineProperty(ScheduleError.prototype, "name", { value: "ScheduleError" });

/**
 * Runs a test in virtual time under many orders of the ready entries in each iteration; a seed determines
 * each order. The loop guarantees first come, first served. Code fails under some seed if it depends on that
 * order, or if it ignores that other tasks run during an await. Returns the number of schedules tried.
 * ```ts
 * import { gather, sleep } from "@taskloom/loop";
 * import { explore } from "@taskloom/loop/testing";
 *
 * let balance = 0;
 * const deposit = (amount: number) => function* () {
 *   const before = balance;
 *   yield* sleep(0);
 *   balance = before + amount; // overwrites a deposit that was made meanwhile
 * };
 * const error = await explore(async () => {
 *   balance = 0;
 *   await gather([deposit(1), deposit(2)]);
 *   if (balance !== 3) throw new Error(`balance is ${balance}`);
 * }).catch((error) => error);
 * console.log(error.code); // SCHEDULE_FAILED
 * ```
 * The generator of the orders is mulberry32.
 *
 * @throws {@link ScheduleError} with the first seed that fails.
 */
export async function explore(test: () => Startable<unknown>, options: ExploreOptions = {}): Promise<number> {
  const { seeds = 100 } = options;
  let tried = 0;
  for (const seed of typeof seeds === "number" ? Array.from({ length: seeds }, (_, i) => i) : seeds) {
    const loop = new EventLoop({ clock: virtualClock() });
    loop._chooser = chooser(seed);
    const runner = new Runner({ loopFactory: () => loop, handleSignals: false });
    try {
      await runner.run(test as () => never);
    } catch (error) {
      throw new ScheduleError(seed, error);
    } finally {
      await runner.close();
    }
    tried++;
  }
  return tried;
}

function chooser(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}
