import { getEventLoop } from "@taskloom/loop";

/**
 * Calls a listener of the user. An error of the listener does not fail the job, and neither does a promise that rejects: the
 * exception handler of the loop receives it, as for every callback that nobody awaits.
 */
export function notifyListener<T>(name: string, listener: ((event: T) => void) | undefined, event: T): void {
  const report = (error: unknown): void =>
    getEventLoop().callExceptionHandler({ message: `Error in a worker's \`${name}\``, exception: error });
  try {
    // The type allows an async function, whose promise nobody awaits.
    const answer: unknown = listener?.(event);
    if (answer instanceof Promise) answer.catch(report);
  } catch (error) {
    report(error);
  }
}
