import { startTimer } from "@taskloom/loop/timer";

/**
 * Waits for a clean-up, but no longer than `milliseconds`, since an engine that does not answer must not keep a process
 * from ending. Errors of the clean-up are ignored.
 */
export async function settleWithin(milliseconds: number, cleanUp: Promise<unknown>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = startTimer(milliseconds, resolve);
  await Promise.race([cleanUp.catch(() => {}), over]);
  timer.cancel();
}
