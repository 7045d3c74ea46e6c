/** A URL fit to be shown: everything but the password. */
export function withoutPassword(url: string): string {
  return url.replace(/^([a-z-]+:\/\/[^/@:]*):.*@/i, "$1:***@");
}
