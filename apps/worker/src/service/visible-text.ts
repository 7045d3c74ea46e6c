/**
 * Control characters but the line feed and the tab, and those that change the direction of the text around them: a
 * terminal obeys them. Texts of jobs come from whoever may submit.
 */
// oxlint-disable-next-line no-control-regex -- control characters are what it is for
const controls = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A text with its control characters written out, as in `\x1b[2J`. */
export function visibleText(text: string): string {
  return text.replaceAll(controls, (control) => {
    const code = control.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : jsonEscape(code);
  });
}

/** JSON with its control characters as JSON's own escapes: the value that it says stays the same. */
export function visibleJson(json: string): string {
  // JSON.stringify has escaped all that are below a space; a line feed or a tab between its tokens is layout.
  return json.replaceAll(controls, (control) => jsonEscape(control.charCodeAt(0)));
}

function jsonEscape(code: number): string {
  return `\\u${code.toString(16).padStart(4, "0")}`;
}
