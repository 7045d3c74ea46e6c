import { coroutine, timeoutAt, TimeoutError } from "@taskloom/loop";
import type { Awaitable, TimeoutScope } from "@taskloom/loop";

/** The limits on the time of a run, as its submission has set them. They are a part of the run, and the same in each replay. */
export interface RunLimits {
  /** The time after which the result is of no use, in milliseconds since 1970. It holds for all histories of the run. */
  readonly deadline?: number | undefined;
  /** Milliseconds that one history of the run may take, from its first tick. */
  readonly timeout?: number | undefined;
}

/**
 * Calls the coroutine of a run, and cancels it at its limit, as `timeout` does: `finally` runs, with steps in it.
 *
 * @param began the time of the first tick, in milliseconds since 1970.
 * @param run the name of the run, with which the error's message begins.
 * @throws TimeoutError that names the limit, without a call if the deadline has passed before.
 */
export function withinLimits(
  { deadline = Infinity, timeout = Infinity }: RunLimits,
  began: number,
  run: string,
  call: () => Awaitable<unknown>,
): Awaitable<unknown> {
  const end = Math.min(deadline, began + timeout);
  if (end === Infinity) return call();
  if (deadline <= began) {
    throw new TimeoutError(
      `${run} was not started, since its deadline had passed ${began - deadline} ms before`,
    );
  }
  const limit =
    end === deadline ? `the ${deadline - began} ms until its deadline` : `its timeout of ${timeout} ms`;
  return limited(end, `${run} did not end within ${limit}`, call);
}

const limited = coroutine(function* workflow(when: number, message: string, call: () => Awaitable<unknown>) {
  let scope: TimeoutScope | undefined;
  try {
    return yield* timeoutAt(when, (entered) => {
      scope = entered;
      return call();
    });
  } catch (error) {
    if (error instanceof TimeoutError && scope?.expired() === true)
      throw new TimeoutError(message, { cause: error });
    throw error;
  }
});
