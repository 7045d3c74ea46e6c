import { valueOr } from "../value-or.ts";

/** The names of query parameters that hold a secret, as ioredis, pg and similar clients spell them. */
const SECRET_NAME = /pass|pwd|secret|token|credential|auth|key$/i;
/** The addresses of engines without a server, which have no password. */
const WITHOUT_SERVER = /^\s*(?:embedded|memory):/i;

/** The fields of RFC 3986 that are needed here. */
const FIELDS = /^(?<scheme>\s*[a-z][a-z0-9+.-]*:)?(?<slashes>\/*)(?<authority>[^/?#]*)(?<path>[^?#]*)/i;
const PARAMETERS = /[?&#](?<name>[^?&#=]*)=(?<value>[^&#]*)/g;
const URL_IN_TEXT = /[a-z][a-z0-9+.-]*:\/\/[^\s"'`<>\\]+/gi;

/** A part of a text: the index of its first character, and the index behind its last. */
type Range = readonly [from: number, to: number];

/**
 * Returns a URL for messages, with `***` in place of its password and of each query parameter that holds a secret.
 *
 * `URL` does not split the address, because an address that cannot be parsed is shown, too, in the error about it. The
 * password of such an address may contain a raw `/`, `?`, `#` or `@`, so too much is hidden rather than too little.
 */
export function withoutPassword(url: string): string {
  if (WITHOUT_SERVER.test(url)) return url;
  let shown = "";
  let end = 0;
  for (const [from, to] of secretRanges(url).toSorted(([a], [b]) => a - b)) {
    if (from > end || end === 0) shown += `${url.slice(end, from)}***`;
    end = Math.max(end, to);
  }
  return shown + url.slice(end);
}

/** Returns a text, such as a log line or an error's message, with its URLs as {@link withoutPassword} returns them. */
export function withoutPasswords(text: string): string {
  return text.includes("://") ? text.replaceAll(URL_IN_TEXT, withoutPassword) : text;
}

function secretRanges(url: string): Range[] {
  const ranges: Range[] = [];
  for (const match of url.matchAll(PARAMETERS)) {
    const { name = "", value = "" } = match.groups ?? {};
    const to = match.index + match[0].length;
    if (value !== "" && SECRET_NAME.test(valueOr(() => decodeURIComponent(name), name)))
      ranges.push([to - value.length, to]);
  }
  const { scheme = "", slashes = "", authority = "", path = "" } = FIELDS.exec(url)?.groups ?? {};
  const start = scheme.length + slashes.length;
  const pathAt = start + authority.length;
  const query = url.slice(pathAt + path.length);
  // An "@" in a parameter's value is a part of the value. Any other "@" behind the authority was meant to end the password.
  const isWhole = authority.includes("@") && !path.includes("@") && !/^[^=]*@/.test(query);
  const at = isWhole ? start + authority.lastIndexOf("@") : url.lastIndexOf("@");
  // Without slashes the end of the user's name is unknown, so all of it may be the password.
  const colon = url.indexOf(":", start);
  const from = slashes === "" ? start : colon === -1 ? at : colon + 1;
  if (from < at) ranges.push([from, at]);
  return ranges;
}
