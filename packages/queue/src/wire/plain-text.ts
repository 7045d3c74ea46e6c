/**
 * Whether every store keeps a text as it is: PostgreSQL refuses U+0000, and halves of a surrogate pair have no form in
 * UTF-8.
 */
export function isPlainText(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0");
}

/**
 * A text for people that every store keeps, where it cannot be encoded as a value: U+0000 is shown as its symbol
 * U+2400, and half of a surrogate pair as U+FFFD.
 */
export function storableText(text: string): string {
  return isPlainText(text) ? text : text.toWellFormed().replaceAll("\0", "\u2400");
}
