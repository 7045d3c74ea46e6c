import { TaskOptionsError } from "../errors.ts";

/** The places of a walk in several lists: the number of a row in each, by the name of the list. */
type Places = Readonly<Record<string, number>>;

/** Returns places as one text, which a caller passes back to continue a walk. */
export function writeCursor(places: Places): string {
  return Buffer.from(JSON.stringify(places)).toString("base64url");
}

/** Returns the places that {@link writeCursor} wrote, or undefined for any other text. */
export function readCursor(cursor: string): Places | undefined {
  try {
    const places: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    return arePlaces(places) ? places : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns the places of these names that {@link writeCursor} wrote.
 *
 * @throws {@link TaskOptionsError} for any other text.
 */
export function placesIn<K extends string>(cursor: string, names: readonly K[]): Readonly<Record<K, number>> {
  const places = readCursor(cursor);
  if (places !== undefined && names.every((name) => places[name] !== undefined)) return places;
  throw new TaskOptionsError("Expected `cursor` to be the `next` of an earlier page");
}

function arePlaces(value: unknown): value is Places {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((place) => Number.isSafeInteger(place) && place >= 0);
}
