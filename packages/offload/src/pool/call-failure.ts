/** The errors of calls that could not be sent, or whose thread has ended. */
import { findUncloneable } from "../boundary/value-transport.ts";
import { ThreadDiedError } from "../errors.ts";
import type { ThreadTask } from "./thread-task.ts";

/** Returns the error of a call that could not be sent. */
export function refusal(call: ThreadTask<unknown>, error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== "DataCloneError") return error;
  const propagated = call.metadata?.propagated;
  // The stores are tried first: a trial of the arguments would move what they transfer, and this call never ran.
  try {
    structuredClone(propagated);
  } catch {
    return findUncloneable(propagated, "the propagated stores", error.message);
  }
  return findUncloneable(call.args, "arguments", error.message, call.local?.transfer ?? []);
}

/** Returns the error of a call whose thread has ended. */
export function death(label: string, exitCode: number, error: Error | undefined): ThreadDiedError {
  if (error === undefined)
    return new ThreadDiedError(
      `The thread that ran ${label} ended with exit code ${exitCode}: something called process.exit there`,
      "exit",
      { exitCode },
    );
  const isMemory = "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  return new ThreadDiedError(
    isMemory
      ? `The thread that ran ${label} ran out of memory; give it more with resourceLimits, or less to do`
      : `The thread that ran ${label} broke: ${error.message}`,
    isMemory ? "out-of-memory" : "crash",
    { exitCode, cause: error },
  );
}
