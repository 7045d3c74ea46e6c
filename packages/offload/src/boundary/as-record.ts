/** Returns an object as a record of its properties. An object of any class has some, and none is known. */
export function asRecord(object: object): Record<string | number, unknown> {
  return object as Record<string | number, unknown>;
}
