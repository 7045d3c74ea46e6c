/**
 * Returns a check for numbers of at least `min`. It takes a number, or a text that is one.
 *
 * @throws TypeError from the check, with the expected value as its message.
 */
export function numberFrom(min: number): (value: unknown) => number {
  return (value) => {
    const number = numberOf(value);
    if (number === undefined || !Number.isFinite(number) || number < min)
      throw new TypeError(`a number from ${min}`);
    return number;
  };
}

/** Returns a check for whole numbers of at least `min`; see {@link numberFrom}. */
export function wholeNumberFrom(min: number): (value: unknown) => number {
  return (value) => {
    const number = numberOf(value);
    if (number === undefined || !Number.isSafeInteger(number) || number < min)
      throw new TypeError(`a whole number from ${min}`);
    return number;
  };
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === "string" && value.trim() !== "") return Number(value);
  return typeof value === "number" ? value : undefined;
}
