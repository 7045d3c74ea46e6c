import type { JobSnapshot } from "./job-snapshot.ts";

/** Returns the name and the message of a thrown value. */
export function nameOfError(error: unknown): { readonly name: string; readonly message: string } {
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: "thrown", message: String(error) };
}

/** Returns the key of a failure's group; see {@link failureKey}. */
export function keyOfFailure({ task, error }: JobSnapshot): string {
  const { name, message } = nameOfError(error);
  return failureKey(task, name, message);
}

/** Returns the key of a group of failures. This is the only rule by which failures are grouped. */
export function failureKey(task: string, name: string, message: string): string {
  return JSON.stringify([task, name, kindOf(message)]);
}

/**
 * Returns a message with placeholders for numbers, ids, addresses and quoted values. The parts of an address are bounded: a
 * search for the end of a long word from each of its characters would take a quadratic time.
 */
function kindOf(message: string): string {
  return message.replaceAll(
    /"[^"]*"|'[^']*'|\b[a-z][a-z\d+.-]{1,20}:\/\/[^\s"']+|[^\s"'<>(),;:@]{1,64}@[^\s"'<>(),;:]+|[\da-f]{8}-[\da-f-]{27}|\b[\dA-HJKMNP-TV-Z]{26}\b|0x[\da-f]+|\d+/gi,
    "#",
  );
}
