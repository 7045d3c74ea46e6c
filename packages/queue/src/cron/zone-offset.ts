/** The format of each zone. Making a format costs 20 µs, using it 2 µs. */
const formats = new Map<string, Intl.DateTimeFormat>();

/**
 * Returns how far the clocks of a zone are ahead of UTC at an instant, in milliseconds. Without a zone, the zone of
 * this machine counts.
 *
 * @throws RangeError if Node does not know the zone.
 */
export function zoneOffset(zone: string | undefined, instant: number): number {
  if (zone === undefined) return -new Date(instant).getTimezoneOffset() * 60_000;
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      calendar: "iso8601",
      numberingSystem: "latn",
      hourCycle: "h23",
      era: "short",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formats.set(zone, format);
  }
  const parts: Readonly<Record<string, string>> = Object.fromEntries(
    format.formatToParts(instant).map(({ type, value }) => [type, value]),
  );
  const { era, year, month, day, hour, minute, second } = parts;
  const shown = new Date(0);
  shown.setUTCFullYear(
    era?.startsWith("B") === true ? 1 - Number(year) : Number(year),
    Number(month) - 1,
    Number(day),
  );
  shown.setUTCHours(Number(hour), Number(minute), Number(second));
  return shown.getTime() - Math.floor(instant / 1_000) * 1_000;
}
