import { TimeoutError, timeout } from "@taskloom/loop";

/** How long a run may take, in milliseconds, and which of its limits that is. */
export interface RunLimit {
  readonly kind: "timeout" | "deadline";
  readonly milliseconds: number;
}

/** The nearer of a run's `timeout` and what is left until its deadline; undefined without either. */
export function runLimit(own: number | undefined, left: number | undefined): RunLimit | undefined {
  if (left !== undefined && left <= (own ?? Infinity)) return { kind: "deadline", milliseconds: left };
  return own === undefined ? undefined : { kind: "timeout", milliseconds: own };
}

/**
 * Calls within a limit, and stops what takes longer.
 *
 * @param what the beginning of the error's message: the run that is limited.
 * @throws TimeoutError that names the limit, and how long the run took.
 */
export async function withinLimit(
  { kind, milliseconds }: RunLimit,
  what: string,
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
        : `the ${Math.ceil(milliseconds)} ms that were left until its deadline`;
    throw new TimeoutError(
      `${what} did not end within ${limit}; it was stopped after ${Math.round(performance.now() - began)} ms.`,
      { cause: error },
    );
  }
}
