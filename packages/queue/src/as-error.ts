/** Returns a thrown value as an error: an error as it is, and any other value as the message of a new one. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
