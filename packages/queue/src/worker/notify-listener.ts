import { getEventLoop } from "@taskloom/loop";

/**
 * Calls a listener of the user. An error of the listener does not fail the job: the exception handler of the loop
 * receives it, as for every callback that nobody awaits.
 */
export function notifyListener<T>(name: string, listener: ((event: T) => void) | undefined, event: T): void {
  try {
    listener?.(event);
  } catch (error) {
    getEventLoop().callExceptionHandler({ message: `Error in a worker's \`${name}\``, exception: error });
  }
}
