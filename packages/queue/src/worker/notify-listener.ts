import { getEventLoop } from "@taskloom/loop";

/**
 * Calls a listener of the user's. An error of it is none of the job's: it goes to the loop's exception handler, as that
 * of every callback that nobody waits for.
 */
export function notifyListener<T>(name: string, listener: ((event: T) => void) | undefined, event: T): void {
  try {
    listener?.(event);
  } catch (error) {
    getEventLoop().callExceptionHandler({ message: `Error in a worker's \`${name}\``, exception: error });
  }
}
