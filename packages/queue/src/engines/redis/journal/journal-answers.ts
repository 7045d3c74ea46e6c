import type { AppendAnswer, OpenedRun, RunHead } from "../../../contract/run-journal.ts";

type Texts = readonly string[];

/** An optional text of a script's answer: a list with the text, or with nothing. */
type OptionalText = readonly [] | readonly [string | null];

/** The answer of a script to a read of a head: the hash has texts. */
export type StoredHead = readonly [
  epoch: number | string,
  generation: number | string,
  length: number,
  read: number | string,
  unread: number,
  deaths: number | string,
  view: OptionalText,
];

export type StoredOpening = readonly [...StoredHead, entries: Texts, inbox: Texts];

export type StoredAnswer =
  | readonly [0, unread: number, inbox: Texts]
  | readonly [1, generation: number, length: number, last: string, read: number, unread: number, inbox: Texts]
  | readonly [2];

export function headOf(stored: StoredHead | StoredOpening): RunHead {
  const [epoch, generation, length, read, unread, deaths, view] = stored;
  return {
    epoch: Number(epoch),
    generation: Number(generation),
    length,
    read: Number(read),
    unread,
    deaths: Number(deaths),
    view: textOrNothing(view[0]),
  };
}

export function openedRun(stored: StoredOpening): OpenedRun {
  return { ...headOf(stored), entries: stored[7], inbox: stored[8] };
}

export function appendAnswer(stored: StoredAnswer): AppendAnswer {
  if (stored[0] === 0) return { kind: "ok", unread: stored[1], inbox: stored[2] };
  if (stored[0] === 2) return { kind: "lost" };
  const [, generation, length, last, read, unread, inbox] = stored;
  return { kind: "short", generation, length, last: length === 0 ? undefined : last, read, unread, inbox };
}

export function textOrNothing(text: string | null | undefined): string | undefined {
  return text ?? undefined;
}
