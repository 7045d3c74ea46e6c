import type { RunAppend } from "../../../contract/run-journal.ts";
import type { ScriptValue } from "../driver/script-connection.ts";

/** How many runs one script appends to. Redis does no other work meanwhile. */
const MAX_RUNS = 128;
/** How much text one script appends, in UTF-16 code units. The append of one run is never divided. */
const MAX_TEXT = 1_000_000;

/** Divides appends into the parts of one script each. */
export function appendParts(appends: readonly RunAppend[]): RunAppend[][] {
  const parts: RunAppend[][] = [];
  let part: RunAppend[] = [];
  let size = 0;
  for (const append of appends) {
    let own = append.view?.length ?? 0;
    for (const entry of append.entries) own += entry.length;
    if (part.length === MAX_RUNS || (part.length > 0 && size + own > MAX_TEXT)) {
      parts.push(part);
      part = [];
      size = 0;
    }
    part.push(append);
    size += own;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

/** Returns the values of an append for the script. */
export function appendValues(append: RunAppend): ScriptValue[] {
  const { id, epoch, generation, at, consume, known = consume, view, entries } = append;
  const hasView = view === undefined ? 0 : 1;
  return [id, epoch, generation, at, consume, known, hasView, view ?? "", entries.length, ...entries];
}
