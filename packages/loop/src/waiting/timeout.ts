import { CancelledError, TimeoutError, UsageError } from "../errors.ts";
import type { Handle } from "../kernel/handle.ts";
import type { Coroutine } from "../task/coroutine.ts";
import { requireStrand } from "../task/current.ts";
import { openAwaitable, openBody } from "../task/open.ts";
import type { Awaitable, Opened } from "../task/open.ts";
import { NATIVE } from "../task/states.ts";
import type { DeadlineScope, Strand } from "../task/strand.ts";
import { routine } from "../task/routine.ts";
import type { SignalOption } from "../task/signal.ts";
import { expectMilliseconds } from "./sleep.ts";

const CREATED = "created";
const ENTERED = "active";
const EXPIRING = "expiring";
const EXPIRED = "expired";
const EXITED = "finished";

/**
 * The argument of the body of a `timeout`.
 *
 * A scope goes from CREATED to ENTERED. If its deadline passes, it is EXPIRING until its end and EXPIRED
 * afterwards; else it ends as EXITED. The scope turns a cancellation into a TimeoutError only if no other
 * cancel request arrived after it was entered.
 *
 * ```ts
 * import { getRunningLoop, run, sleep, timeout } from "@taskloom/loop";
 *
 * await run(() =>
 *   timeout(null, async (scope) => {
 *     scope.reschedule(getRunningLoop().time() + 60_000);
 *     await sleep(1);
 *     console.log(scope.expired()); // false
 *   }),
 * );
 * ```
 */
export class TimeoutScope implements DeadlineScope {
  #state = CREATED;
  #when: number | null;
  #handle: Handle | null = null;
  #strand: Strand | null = null;
  #cancelling = 0;
  /** @internal */
  _outer: DeadlineScope | null = null;

  /** Made by the library. */
  constructor(when: number | null) {
    this.#when = when;
  }

  /** Returns the deadline, in milliseconds of the loop's `time()`, or null if there is none. */
  when(): number | null {
    return this.#when;
  }

  /** @internal */
  _deadline(): number | null {
    return this.#state === ENTERED || this.#state === EXPIRING ? this.#when : null;
  }

  /**
   * Moves the deadline; null removes it.
   *
   * @throws {@link UsageError} if the scope has expired or ended.
   */
  reschedule(when: number | null): void {
    if (this.#state !== ENTERED) {
      throw new UsageError(
        "TIMEOUT_STATE",
        this.#state === CREATED
          ? "Timeout has not been entered"
          : `Cannot change state of ${this.#state} Timeout: reschedule it inside its body, before it expires`,
      );
    }
    this.#when = when;
    this.#handle?.cancel();
    this.#handle = null;
    if (when === null) return;
    const loop = this.#strand!._loop;
    this.#handle = when <= loop.time() ? loop.callSoon(this.#expire) : loop.callAt(when, this.#expire);
  }

  /** Whether the deadline passed while the body ran. */
  expired(): boolean {
    return this.#state === EXPIRING || this.#state === EXPIRED;
  }

  readonly #expire = (): void => {
    this.#strand!.cancel();
    this.#state = EXPIRING;
    this.#handle = null;
  };

  /** @internal */
  _enter(strand: Strand): void {
    this.#state = ENTERED;
    this.#strand = strand;
    this.#cancelling = strand._requests();
    this._outer = strand._scope;
    strand._scope = this;
    this.reschedule(this.#when);
  }

  /**
   * @internal Ends the scope and returns the error to throw, if any. A deadline that passes during a native
   *   await cannot be thrown inside the body. It counts at the end of the scope, unless the body ends with an
   *   error.
   */
  _exit(failed: boolean, error: unknown): unknown {
    this.#handle?.cancel();
    this.#handle = null;
    const strand = this.#strand!;
    strand._scope = this._outer;
    if (this.#state === EXPIRING) {
      this.#state = EXPIRED;
      const cause = !failed && strand._pending === NATIVE ? new CancelledError() : error;
      if (strand._withdraw() <= this.#cancelling && cause instanceof CancelledError) {
        return new TimeoutError(undefined, { cause });
      }
    } else {
      this.#state = EXITED;
    }
    return error;
  }
}

/** The body of a `timeout`. */
export type TimeoutBody<T> = (scope: TimeoutScope) => Awaitable<T>;

/** @internal Runs the result of `open` with a deadline for `strand`. */
export function* within<T>(
  strand: Strand,
  when: number | null,
  open: (scope: TimeoutScope) => Opened,
): Generator<never, T, unknown> {
  const scope = new TimeoutScope(when);
  scope._enter(strand);
  let value: T;
  try {
    value = (yield* open(scope)) as T;
  } catch (error) {
    throw scope._exit(true, error);
  }
  const overdue = scope._exit(false, undefined);
  if (overdue !== undefined) throw overdue;
  return value;
}

function opener<T>(strand: Strand, body: TimeoutBody<T> | Awaitable<T>): (scope: TimeoutScope) => Opened {
  return (scope) =>
    typeof body === "function" ? openBody(strand, body, [scope]) : openAwaitable(strand, body);
}

/**
 * Runs `body(scope)`, and cancels it if it takes longer than `ms` milliseconds. A TimeoutError is then thrown
 * after the body has ended. If `ms` is null, there is no deadline until `scope.reschedule()` sets one.
 * Returns the body's value.
 *
 * ```ts
 * import { run, sleep, timeout, TimeoutError } from "@taskloom/loop";
 *
 * await run(async () => {
 *   try {
 *     await timeout(5, () => sleep(60_000));
 *   } catch (error) {
 *     console.log(error instanceof TimeoutError); // true
 *   }
 * });
 * ```
 */
export function timeout<T>(
  ms: number | null,
  body: TimeoutBody<T> | Awaitable<T>,
  options: SignalOption = {},
): Coroutine<T> {
  if (ms !== null) expectMilliseconds(ms);
  return routine(
    "timeout",
    function* () {
      const strand = requireStrand("Timeout");
      return yield* within(strand, ms === null ? null : strand._loop.time() + ms, opener(strand, body));
    },
    options.signal,
  );
}

/**
 * Like `timeout`, with the deadline as a time of the loop's `time()`.
 *
 * ```ts
 * import { getRunningLoop, run, sleep, timeoutAt } from "@taskloom/loop";
 *
 * await run(async () => {
 *   const deadline = getRunningLoop().time() + 5;
 *   await timeoutAt(deadline, () => sleep(60_000)).catch((error: Error) => console.log(error.name)); // TimeoutError
 * });
 * ```
 */
export function timeoutAt<T>(
  when: number | null,
  body: TimeoutBody<T> | Awaitable<T>,
  options: SignalOption = {},
): Coroutine<T> {
  return routine(
    "timeoutAt",
    function* () {
      const strand = requireStrand("Timeout");
      return yield* within(strand, when, opener(strand, body));
    },
    options.signal,
  );
}
