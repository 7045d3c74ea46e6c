import { expect, test } from "vitest";
import { visibleJson, visibleText } from "../src/terminal/visible-text.ts";

test("control characters are escaped, and other text is unchanged", () => {
  expect(visibleText("\u001b[2J\u001b]0;title\u0007\u009b1m\r\b\u007f\0")).toBe(
    "\\x1b[2J\\x1b]0;title\\x07\\x9b1m\\x0d\\x08\\x7f\\x00",
  );
  expect(visibleText("abc\u202edef\u2066")).toBe("abc\\u202edef\\u2066");
  const text = "Grüße, 世界 👩‍🚀 — naïve\n\tline two";
  expect(visibleText(text)).toBe(text);
});

test("JSON keeps its value, and has no control characters", () => {
  const value = { text: "\u001b[2J \u007f \u009b1m \u2028 \u202e é", list: ["\u0085"] };
  for (const json of [JSON.stringify(value), JSON.stringify(value, null, 2)]) {
    const shown = visibleJson(json);
    expect(JSON.parse(shown)).toEqual(value);
    expect(shown).not.toMatch(/[^\n\x20-\x7eé]/);
  }
});
