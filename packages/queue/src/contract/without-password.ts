import { attempt } from "../attempt.ts";

/** Parameters of a query that hold a secret, in the spellings of ioredis, pg and their kin. */
const secretName = /pass|pwd|secret|token|credential|auth|key$/i;
/** An engine that has no server has no password; the rest of its address is a path or a name. */
const withoutServer = /^\s*(?:embedded|memory):/i;

/** RFC 3986's fields, as far as they are needed. */
const fields = /^(?<scheme>\s*[a-z][a-z0-9+.-]*:)?(?<slashes>\/*)(?<authority>[^/?#]*)(?<path>[^?#]*)/i;
const parameters = /[?&#](?<name>[^?&#=]*)=(?<value>[^&#]*)/g;
const urlInText = /[a-z][a-z0-9+.-]*:\/\/[^\s"'`<>\\]+/gi;

/** A part of a text, from its first character to the one behind its last. */
type Range = readonly [from: number, to: number];

/**
 * A URL as it may be shown: its scheme, user, host and path as they are, and `***` in place of its password and of each
 * query parameter that holds a secret.
 *
 * The URL is split into its fields here and not by `URL`: an address that cannot be parsed is shown too, in the error
 * that says so. There a password may hold a raw `/`, `?`, `#` or `@`, and rather too much is hidden than too little.
 */
export function withoutPassword(url: string): string {
  if (withoutServer.test(url)) return url;
  let shown = "";
  let end = 0;
  for (const [from, to] of secretRanges(url).toSorted(([a], [b]) => a - b)) {
    if (from > end || end === 0) shown += `${url.slice(end, from)}***`;
    end = Math.max(end, to);
  }
  return shown + url.slice(end);
}

/** A text, such as a log line or an error's message, whose URLs are shown without their passwords. */
export function withoutPasswords(text: string): string {
  return text.includes("://") ? text.replaceAll(urlInText, withoutPassword) : text;
}

function secretRanges(url: string): Range[] {
  const ranges: Range[] = [];
  for (const match of url.matchAll(parameters)) {
    const { name = "", value = "" } = match.groups ?? {};
    const to = match.index + match[0].length;
    if (value !== "" && secretName.test(attempt(() => decodeURIComponent(name), name)))
      ranges.push([to - value.length, to]);
  }
  const { scheme = "", slashes = "", authority = "", path = "" } = fields.exec(url)?.groups ?? {};
  const start = scheme.length + slashes.length;
  const pathAt = start + authority.length;
  const query = url.slice(pathAt + path.length);
  // An "@" in a parameter's value belongs there; any other one behind the authority was meant to end the password.
  const isWhole = authority.includes("@") && !path.includes("@") && !/^[^=]*@/.test(query);
  const at = isWhole ? start + authority.lastIndexOf("@") : url.lastIndexOf("@");
  // Without slashes nothing says where the user's name ends: all of it may be the password.
  const colon = url.indexOf(":", start);
  const from = slashes === "" ? start : colon === -1 ? at : colon + 1;
  if (from < at) ranges.push([from, at]);
  return ranges;
}
