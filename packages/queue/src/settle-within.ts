import { startTimer } from "@taskloom/loop/timer";

/**
 * Waits for a clean-up, but no longer than `milliseconds`: an engine that does not answer must not keep a process from
 * ending. How the clean-up ends is of no interest.
 */
export async function settleWithin(milliseconds: number, cleanUp: Promise<unknown>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = startTimer(milliseconds, resolve);
  await Promise.race([cleanUp.catch(() => {}), over]);
  timer.cancel();
}
