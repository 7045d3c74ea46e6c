import { UnrecoverableError } from "bullmq";
import { codeOf } from "../../../error-code.ts";

/** An end or an addition that the engine refuses, with BullMQ's message and BullMQ's number as its code. */
export class RefusedCommandError extends Error {
  override readonly name = "RefusedCommandError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Returns the error with which BullMQ refuses the end of a job. */
export function endRefusal(code: number, id: string): Error {
  const command = "moveToFinished";
  if (code === -1) return new RefusedCommandError(code, `Missing key for job ${id}. ${command}`);
  if (code === -3) return new RefusedCommandError(code, `Job ${id} is not in the active state. ${command}`);
  if (code === -4) return new RefusedCommandError(code, `Job ${id} has pending dependencies. ${command}`);
  if (code === -6)
    return new RefusedCommandError(code, `Lock mismatch for job ${id}. Cmd ${command} from active`);
  if (code === -9) {
    // A worker does not run a job again that can never complete.
    const message = `Cannot complete job ${id} because it has at least one failed child. ${command}`;
    return Object.assign(new UnrecoverableError(message), { code });
  }
  return new RefusedCommandError(code, `Unknown code ${code} error for ${id}. ${command}`);
}

/** Returns the error with which BullMQ refuses to add a job. */
export function addRefusal(code: number, parentKey: string | null): Error {
  if (code === -5) return new RefusedCommandError(code, `Missing key for parent job ${parentKey}. addJob`);
  return new RefusedCommandError(code, `The parent job ${parentKey} cannot be replaced. addJob`);
}

/**
 * Returns whether a statement failed because of the data of a single job, for instance a text with a NUL. The server has
 * rolled the statement back, so the other jobs can be stored without that one.
 */
export function isCausedByOneJob(error: unknown): boolean {
  const code = String(codeOf(error));
  // Class 22 has the errors of data, and class 54 the limits of sizes.
  return code.startsWith("22") || code.startsWith("54");
}
