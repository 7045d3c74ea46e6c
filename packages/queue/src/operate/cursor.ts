/** Places in lists by name, each the number of a row. */
type Places = Readonly<Record<string, number>>;

/** Places as one text, which a caller hands back unread. */
export function writeCursor(places: Places): string {
  return Buffer.from(JSON.stringify(places)).toString("base64url");
}

/** The places that {@link writeCursor} wrote; undefined for any other text. */
export function readCursor(cursor: string): Places | undefined {
  try {
    const places = JSON.parse(Buffer.from(cursor, "base64url").toString()) as unknown;
    const isRecord = typeof places === "object" && places !== null && !Array.isArray(places);
    const isValid =
      isRecord && Object.values(places).every((place) => Number.isSafeInteger(place) && place >= 0);
    return isValid ? (places as Places) : undefined;
  } catch {
    return undefined;
  }
}
