import { TaskloomError } from "@taskloom/loop";

/** The exit codes of the command line. */
export const EXIT_CODES = {
  ok: 0,
  /** The command failed; a line on standard error has the reason. */
  failure: 1,
  /** The command line, a variable or the config file is wrong. */
  usage: 2,
  /** The command succeeded for some of its files or jobs only. */
  partial: 3,
  /** The job, task, queue, worker or schedule does not exist. */
  notFound: 4,
  /** The awaited job failed. */
  jobFailed: 5,
  /** The awaited job was cancelled. */
  jobCancelled: 6,
  /** The awaited job did not end in time. */
  jobPending: 7,
  /** A signal stopped the command before its end. */
  interrupted: 130,
} as const;

/** A failure that the person at the terminal can act on. It is shown as one line, and sets the exit code. */
export class CliFailure extends TaskloomError {
  readonly exitCode: number;

  constructor(code: string, message: string, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(code, message, options);
    this.name = "CliFailure";
    this.exitCode = options.exitCode ?? EXIT_CODES.failure;
  }
}

/** Returns the failure of a command line that does not say what to do. */
export function usageFailure(message: string): CliFailure {
  return new CliFailure("USAGE", message, { exitCode: EXIT_CODES.usage });
}
