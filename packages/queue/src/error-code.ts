/** Returns the `code` of an error, as Node, PostgreSQL, BullMQ and this package set it; undefined for any other value. */
export function codeOf(error: unknown): string | number | undefined {
  if (!(error instanceof Error && "code" in error)) return undefined;
  const { code } = error;
  return typeof code === "string" || typeof code === "number" ? code : undefined;
}
