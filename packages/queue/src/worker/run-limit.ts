import { TimeoutError, timeout } from "@taskloom/loop";

/** The limit on the time of a run. */
export interface RunLimit {
  readonly kind: "timeout" | "deadline";
  readonly milliseconds: number;
}

/** Returns the nearer of a run's `timeout` and the time until its deadline, or undefined without either. */
export function runLimit(own: number | undefined, left: number | undefined): RunLimit | undefined {
  if (left !== undefined && left <= (own ?? Infinity)) return { kind: "deadline", milliseconds: left };
  return own === undefined ? undefined : { kind: "timeout", milliseconds: own };
}

/**
 * Calls a function, and cancels it at the limit.
 *
 * @param run the name of the run, with which the error's message begins.
 * @throws TimeoutError that names the limit and the time that the run took.
 */
export async function withinLimit(
  { kind, milliseconds }: RunLimit,
  run: string,
  call: () => unknown,
): Promise<unknown> {
  const began = performance.now();
  let hasExpired = (): boolean => false;
  try {
    return await timeout(milliseconds, async (scope) => {
      hasExpired = () => scope.expired();
      return await call();
    });
  } catch (error) {
    if (!(error instanceof TimeoutError) || !hasExpired()) throw error;
    const limit =
      kind === "timeout"
        ? `its timeout of ${milliseconds} ms`
        : `the ${Math.ceil(milliseconds)} ms until its deadline`;
    throw new TimeoutError(
      `${run} did not end within ${limit}; it was stopped after ${Math.round(performance.now() - began)} ms`,
      { cause: error },
    );
  }
}
