/** Returns an error as both sides have it: its code, or its message. */
export function errorOf(error: unknown): unknown {
  if (!(error instanceof Error)) return { thrown: String(error) };
  if ("code" in error && typeof error.code === "number") return { code: error.code };
  return { message: error.message };
}
