/** A function that is called regularly. */
export interface RegularWork {
  /** Calls it now, too. */
  readonly begin: () => void;
  readonly stop: () => void;
}

/**
 * Calls a function every so many milliseconds, unless its last call has not ended. Errors are ignored: if the engine does not
 * answer, the next call makes up for this one.
 */
export function regularly(milliseconds: number, work: () => Promise<void>): RegularWork {
  let isWorking = false;
  const begin = (): void => {
    if (isWorking) return;
    isWorking = true;
    void work()
      .catch(() => {})
      .finally(() => (isWorking = false));
  };
  const timer = setInterval(begin, milliseconds).unref();
  return { begin, stop: () => clearInterval(timer) };
}
