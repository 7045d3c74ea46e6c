import { stripVTControlCharacters } from "node:util";
import Table from "cli-table3";
import { Styled, shown } from "./output.ts";

/** The width that a column keeps on a narrow terminal. */
const MIN_WIDTH = 12;

/** One cell of a table. */
export type Cell = string | number | Styled;

/**
 * Writes a table to standard output; columns of numbers are aligned to the right. On a narrow terminal the widest
 * columns are cut. The first column is never cut, because people copy ids from it.
 */
export function printTable(head: readonly string[], rows: readonly (readonly Cell[])[]): void {
  const table = new Table({
    head: head.map((text) => new Styled("bold", text).toString()),
    colAligns: head.map((_, column) =>
      rows.some((row) => typeof row[column] !== "number") ? "left" : "right",
    ),
    style: { head: [], border: [], compact: true },
  });
  const cells = rows.map((row) => row.map(cellText));
  const widths = fittingWidths([head, ...cells], process.stdout.columns ?? Infinity);
  for (const row of cells) table.push(row.map((cell, column) => cut(cell, widths[column]!)));
  process.stdout.write(`${table.toString()}\n`);
}

function cellText(cell: Cell): string {
  if (typeof cell === "number") return cell.toLocaleString("en-US");
  if (cell instanceof Styled) return cell.toString();
  // On a terminal a text of several lines would look like several rows.
  return shown(cell).replaceAll("\n", process.stdout.isTTY ? "\\n" : "\n");
}

/** Returns the width of each column's text with which the table fits into so many columns of the terminal. */
function fittingWidths(rows: readonly (readonly string[])[], columns: number): number[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => stripVTControlCharacters(row[column]!).length)),
  );
  const frame = 3 * widths.length + 1;
  let tooWide = widths.reduce((sum, width) => sum + width, frame) - columns;
  while (tooWide > 0) {
    const widest = Math.max(...widths.slice(1));
    if (widest <= MIN_WIDTH) break;
    widths[widths.lastIndexOf(widest)]!--;
    tooWide--;
  }
  return widths;
}

/** Returns a text of at most `width` characters; a text that is cut loses its styles. */
export function cut(text: string, width: number): string {
  return stripVTControlCharacters(text).length <= width ? text : `${text.slice(0, width - 1)}…`;
}
