import { Styled } from "./output.ts";

// The sequences of xterm that every terminal of today knows.
const ALTERNATE_SCREEN = "\x1b[?1049h";
const MAIN_SCREEN = "\x1b[?1049l";
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";
const CUT_LINES = "\x1b[?7l";
const WRAP_LINES = "\x1b[?7h";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** A whole terminal that is drawn again and again. The text that it showed before comes back at the end. */
export class Screen {
  #isOpen = true;

  constructor() {
    process.stdout.write(ALTERNATE_SCREEN + HIDE_CURSOR + CUT_LINES);
  }

  /** Draws a text in place of the text before it. Lines that do not fit below each other are counted. */
  draw(text: string): void {
    const lines = text.split("\n");
    const height = process.stdout.rows ?? Infinity;
    const shown = lines.length <= height ? lines : lines.slice(0, height - 1);
    if (shown.length < lines.length)
      shown.push(new Styled("dim", `… ${lines.length - shown.length} more lines`).toString());
    // Each line is overwritten and not cleared before, because a terminal that is cleared flickers.
    const drawn = shown.map((line) => line + CLEAR_LINE).join("\r\n");
    process.stdout.write(HOME + drawn + CLEAR_BELOW);
  }

  /** Shows the text from before the screen again. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.stdout.write(WRAP_LINES + SHOW_CURSOR + MAIN_SCREEN);
  }
}
