const HOUR_MS = 3_600_000;

/**
 * Returns a value with 0 instead of each time that comes from the server's clock. BullMQ's function that adds a flow reads
 * this clock if it releases a delayed parent; all other times are those of the sequence.
 */
export function withoutServerTimes<T>(value: T): T {
  const now = performance.timeOrigin + performance.now();
  const text = JSON.stringify(value, (_, each: unknown) =>
    typeof each === "number" && Math.abs(each - now) < HOUR_MS ? 0 : each,
  );
  const masked: T = JSON.parse(text);
  return masked;
}
