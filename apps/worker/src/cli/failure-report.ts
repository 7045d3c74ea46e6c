import { EngineUrlError, ShardsDifferError, TaskArgumentsError, TaskOptionsError } from "@taskloom/queue";
import { withoutPasswords } from "@taskloom/queue/operating";
import { CliFailure, EXIT_CODES } from "../errors/cli-failure.ts";
import { ServiceError } from "../errors/service-error.ts";

/** Returns the exit code of a command that an error has ended. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CliFailure) return error.exitCode;
  if (
    error instanceof TaskOptionsError ||
    error instanceof TaskArgumentsError ||
    error instanceof EngineUrlError ||
    error instanceof ShardsDifferError
  )
    return EXIT_CODES.usage;
  if (!(error instanceof ServiceError)) return EXIT_CODES.failure;
  if (error.status === 404) return EXIT_CODES.notFound;
  return error.status === 400 || error.status === 422 ? EXIT_CODES.usage : EXIT_CODES.failure;
}

/** Returns the text that standard error shows: the message of an error with a code, the stack of any other. */
export function failureLine(error: unknown): string {
  if (!(error instanceof Error)) return withoutPasswords(String(error));
  const hasCode = "code" in error && typeof error.code === "string";
  return withoutPasswords(hasCode ? error.message : (error.stack ?? error.message));
}
