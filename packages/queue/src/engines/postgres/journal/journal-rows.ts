import type { AppendAnswer, OpenedRun, RunAppend, RunHead } from "../../../contract/run-journal.ts";
import type { Row } from "../../sql/rows.ts";

/** Returns appends as the parameters of `taskloom_append_v1`: one array for each column, and two for the entries. */
export function appendColumns(appends: readonly RunAppend[]): unknown[] {
  return [
    appends.map(({ id }) => id),
    appends.map(({ epoch }) => epoch),
    appends.map(({ generation }) => generation),
    appends.map(({ at }) => at),
    appends.map(({ consume }) => consume),
    appends.map(({ consume, known = consume }) => known),
    appends.map(({ view }) => view ?? null),
    appends.flatMap(({ entries }, at) => entries.map(() => at + 1)),
    appends.flatMap(({ entries }) => entries),
  ];
}

/** Returns the number of characters of an append. */
export function sizeOfAppend({ entries, view }: RunAppend): number {
  let size = view?.length ?? 0;
  for (const entry of entries) size += entry.length;
  return size;
}

/** Returns the answers to appends in their order, from rows with the number of the append as `ord`. */
export function appendAnswers(rows: readonly Row[]): AppendAnswer[] {
  const answers: AppendAnswer[] = [];
  for (const row of rows) answers[Number(row["ord"]) - 1] = appendAnswer(row);
  return answers;
}

/** Returns the answer to an append; the row of a usual one may be empty. */
export function appendAnswer(row: Row): AppendAnswer {
  const kind = row["kind"];
  if (kind === null) return { kind: "ok", unread: 0, inbox: [] };
  if (kind === 2) return { kind: "lost" };
  const unread = Number(row["unread"]);
  const inbox = textsIn(row, "inbox");
  if (kind === 0) return { kind: "ok", unread, inbox };
  const { generation, length, last, consumed } = row;
  return {
    kind: "short",
    generation: Number(generation),
    length: Number(length),
    last: typeof last === "string" ? last : undefined,
    read: Number(consumed),
    unread,
    inbox,
  };
}

export function headOfRow(row: Row): RunHead {
  const read = Number(row["consumed"]);
  return {
    epoch: Number(row["epoch"]),
    generation: Number(row["generation"]),
    length: Number(row["length"]),
    read,
    unread: Number(row["delivered"]) - read,
    deaths: Number(row["deaths"]),
    view: typeof row["view"] === "string" ? row["view"] : undefined,
  };
}

export function openedRun(row: Row): OpenedRun {
  return { ...headOfRow(row), entries: textsIn(row, "entries"), inbox: textsIn(row, "inbox") };
}

export function textsIn(row: Row, column: string): string[] {
  const texts = row[column];
  return Array.isArray(texts) ? texts.map(String) : [];
}
