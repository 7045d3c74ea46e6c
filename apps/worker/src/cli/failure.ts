import { TaskloomError } from "@taskloom/loop";
import { EngineUrlError, TaskArgumentsError, TaskOptionsError } from "@taskloom/queue";
import { withoutPasswords } from "@taskloom/queue/operating";
import { ServiceError } from "../service/service-error.ts";

/** A reason to stop that the person at the terminal can do something about: shown as one line, with an exit code. */
export class CliFailure extends TaskloomError {
  readonly exitCode: number;

  constructor(code: string, message: string, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(code, message, options);
    this.name = "CliFailure";
    this.exitCode = options.exitCode ?? exitCodes.failure;
  }
}

/** What the process's exit code says. */
export const exitCodes = {
  ok: 0,
  /** It could not be done; the line on standard error says why. */
  failure: 1,
  /** The command line, a variable or the config file was wrong. */
  usage: 2,
  /** It was done, but not for all files or jobs. */
  partial: 3,
  /** There is no such job, task, queue or schedule. */
  notFound: 4,
  /** The job that was waited for failed. */
  jobFailed: 5,
  /** The job that was waited for was cancelled. */
  jobCancelled: 6,
  /** The job that was waited for had not ended in time. */
  jobPending: 7,
  /** Stopped by Ctrl-C before it was done. */
  interrupted: 130,
} as const;

/** The exit code that says what went wrong. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CliFailure) return error.exitCode;
  if (
    error instanceof TaskOptionsError ||
    error instanceof TaskArgumentsError ||
    error instanceof EngineUrlError
  )
    return exitCodes.usage;
  if (!(error instanceof ServiceError)) return exitCodes.failure;
  if (error.status === 404) return exitCodes.notFound;
  return error.status === 400 || error.status === 422 ? exitCodes.usage : exitCodes.failure;
}

/** One line for a person: the message of an error that was made to be read, the stack of one that was not. */
export function failureLine(error: unknown): string {
  if (!(error instanceof Error)) return withoutPasswords(String(error));
  const isForReading = "code" in error && typeof error.code === "string";
  return withoutPasswords(isForReading ? error.message : (error.stack ?? error.message));
}
