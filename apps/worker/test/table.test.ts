import { afterEach, expect, test } from "vitest";
import { tableText } from "../src/terminal/table.ts";

const head = ["job", "task", "state", "for"];
const rows = [
  ["loop.01M8M9JSGM8PS6Y3CWN5R5ECEJ", "image.thumbnail.of.a.long.name", "active", 1_200],
  ["loop.2", "mail", "", 3],
];

function at(columns: number | undefined): string {
  Object.defineProperty(process.stdout, "columns", { value: columns, configurable: true });
  return tableText(head, rows);
}

afterEach(() => void at(undefined));

test("a table has its whole texts where there is room", () => {
  expect(at(undefined)).toContain("image.thumbnail.of.a.long.name");
  expect(at(100)).toContain("image.thumbnail.of.a.long.name");
});

test("on a narrower terminal the widest columns are cut, and never the first one", () => {
  const lines = at(74).split("\n");
  expect(Math.max(...lines.map((line) => line.length))).toBe(74);
  expect(lines.join("\n")).toMatch(/loop\.01M8M9JSGM8PS6Y3CWN5R5ECEJ │ image\.thumb.*… │ active/);
});

test("a table that does not fit becomes a paragraph for each row, without its empty cells", () => {
  expect(at(40)).toBe(`loop.01M8M9JSGM8PS6Y3CWN5R5ECEJ
  task image.thumbnail.of.a.long.name
  state active  for 1,200
loop.2
  task mail  for 3`);
  expect(at(24)).toContain("\n  task image.thumbnail.…\n");
});
