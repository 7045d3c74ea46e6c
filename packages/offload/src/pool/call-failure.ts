/** What a call that could not be sent, or whose thread is gone, fails with. */
import { ThreadDiedError } from "../errors.ts";
import { findUncloneable } from "../boundary/value-transport.ts";
import type { ThreadTask } from "./thread-task.ts";

/** Why it could not be sent. */
export function refusal(call: ThreadTask, error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== "DataCloneError") return error;
  const { args, special } = call;
  // The stores first: to try the arguments would move what they transfer, and this call never ran.
  try {
    structuredClone(special?.context);
  } catch {
    return findUncloneable(special?.context, "the propagated stores", error.message);
  }
  return findUncloneable(args, "arguments", error.message, special?.transfer ?? []);
}

/** How its thread ended. */
export function death(label: string, exitCode: number, error: Error | undefined): ThreadDiedError {
  if (error === undefined)
    return new ThreadDiedError(
      `The thread that ran ${label} ended with exit code ${exitCode}: something called process.exit there`,
      "exit",
      { exitCode },
    );
  const memory = (error as { code?: unknown }).code === "ERR_WORKER_OUT_OF_MEMORY";
  return new ThreadDiedError(
    memory
      ? `The thread that ran ${label} ran out of memory; give it more with resourceLimits, or less to do`
      : `The thread that ran ${label} broke: ${error.message}`,
    memory ? "out-of-memory" : "crash",
    { exitCode, cause: error },
  );
}
