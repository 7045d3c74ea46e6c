/** What was on its way when a connection was cut: whether it arrived is not known. */
export class ConnectionCutError extends Error {
  override readonly name = "ConnectionCutError";
}

/** Whether something failed because its connection was cut. */
export function wasCut(error: unknown): boolean {
  // ioredis gives transactions up with an AbortError when part of their answer was read; others it sends again.
  return error instanceof ConnectionCutError || (error instanceof Error && error.name === "AbortError");
}
