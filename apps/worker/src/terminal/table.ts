import { stripVTControlCharacters } from "node:util";
import Table from "cli-table3";
import { Styled, shown } from "./output.ts";

/** The width that a column keeps on a narrow terminal. */
const MIN_WIDTH = 12;
const INDENT = "  ";

/** One cell of a table. */
export type Cell = string | number | Styled;

/**
 * Returns a table as text; columns of numbers are aligned to the right. On a narrow terminal the widest columns are cut.
 * The first column is never cut, because people copy ids from it. If the table does not fit even so, each row becomes a
 * paragraph of named values.
 */
export function tableText(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const columns = process.stdout.columns ?? Infinity;
  const cells = rows.map((row) => row.map(cellText));
  const widths = fittingWidths([head, ...cells], columns);
  if (frameWidth(widths) > columns) return cells.map((row) => paragraph(head, row, columns)).join("\n");
  const table = new Table({
    head: head.map(styled),
    colAligns: head.map((_, column) =>
      rows.some((row) => typeof row[column] !== "number") ? "left" : "right",
    ),
    style: { head: [], border: [], compact: true },
  });
  for (const row of cells) table.push(row.map((cell, column) => cut(cell, widths[column]!)));
  return table.toString();
}

/** Returns a row as its first cell and, below it, the other cells with their names, in lines of at most `columns`. */
function paragraph(
  head: readonly string[],
  [first = "", ...rest]: readonly string[],
  columns: number,
): string {
  const lines = [styled(first)];
  let line = "";
  for (const [index, cell] of rest.entries()) {
    if (cell === "") continue;
    const text = `${head[index + 1]} ${cut(cell, Math.max(MIN_WIDTH, columns - head[index + 1]!.length - INDENT.length - 1))}`;
    if (line !== "" && widthOf(line) + 2 + widthOf(text) > columns) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? `${INDENT}${text}` : `${line}  ${text}`;
  }
  return [...lines, ...(line === "" ? [] : [line])].join("\n");
}

function styled(text: string): string {
  return new Styled("bold", text).toString();
}

function cellText(cell: Cell): string {
  if (typeof cell === "number") return cell.toLocaleString("en-US");
  if (cell instanceof Styled) return cell.toString();
  // On a terminal a text of several lines would look like several rows.
  return shown(cell).replaceAll("\n", process.stdout.isTTY ? "\\n" : "\n");
}

/** Returns the width of each column's text with which the table fits into so many columns of the terminal. */
function fittingWidths(rows: readonly (readonly string[])[], columns: number): number[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => widthOf(row[column]!))));
  let tooWide = frameWidth(widths) - columns;
  while (tooWide > 0) {
    const widest = Math.max(...widths.slice(1));
    if (widest <= MIN_WIDTH) break;
    widths[widths.lastIndexOf(widest)]!--;
    tooWide--;
  }
  return widths;
}

/** Returns the width of a table with its frame. */
function frameWidth(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, 3 * widths.length + 1);
}

function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** Returns a text of at most `width` characters; a text that is cut loses its styles. */
export function cut(text: string, width: number): string {
  return widthOf(text) <= width ? text : `${text.slice(0, width - 1)}…`;
}
