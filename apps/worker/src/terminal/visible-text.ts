/**
 * Control characters except the line feed and the tab, and characters that change the direction of the text around
 * them. A terminal obeys them, and any submitter can put them into the texts of a job.
 */
// oxlint-disable-next-line no-control-regex -- the expression looks for control characters
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Returns a text with its control characters escaped, as in `\x1b[2J`. */
export function visibleText(text: string): string {
  return text.replaceAll(CONTROLS, (control) => {
    const code = control.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : jsonEscape(code);
  });
}

/** Returns JSON with its control characters as escapes of JSON, so that it still stands for the same value. */
export function visibleJson(json: string): string {
  // JSON.stringify has escaped every control below a space; a line feed or a tab between tokens is layout.
  return json.replaceAll(CONTROLS, (control) => jsonEscape(control.charCodeAt(0)));
}

function jsonEscape(code: number): string {
  return `\\u${code.toString(16).padStart(4, "0")}`;
}
