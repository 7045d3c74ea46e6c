import { StopSignals } from "@taskloom/loop/stop-signals";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";

/**
 * Returns the result of `body`, which waits for a job. Ctrl-C ends the wait but not the job.
 *
 * @param message is the message of the error at a Ctrl-C. `body` receives a promise that rejects with the error.
 * @throws {@link CliFailure} with the code `INTERRUPTED` at a Ctrl-C.
 */
export async function untilInterrupted<T>(
  message: string,
  body: (stop: Promise<never>) => Promise<T>,
): Promise<T> {
  const signals = new StopSignals({ onSecond: () => process.exit(EXIT_CODES.interrupted) });
  const stop = signals.asked.then((): never => {
    throw new CliFailure("INTERRUPTED", message, { exitCode: EXIT_CODES.interrupted });
  });
  stop.catch(() => {});
  try {
    return await Promise.race([body(stop), stop]);
  } finally {
    signals.dispose();
  }
}
