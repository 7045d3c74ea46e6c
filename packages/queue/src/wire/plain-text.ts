/**
 * Whether every engine stores a text unchanged. PostgreSQL refuses U+0000, and half of a surrogate pair has no form in
 * UTF-8.
 */
export function isPlainText(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}

/**
 * Returns a text that every engine stores, for texts that people read and that are not encoded as values. U+0000 is
 * replaced by its symbol U+2400, and half of a surrogate pair by U+FFFD.
 */
export function storableText(text: string): string {
  return isPlainText(text) ? text : text.toWellFormed().replaceAll("\0", "\u2400");
}
