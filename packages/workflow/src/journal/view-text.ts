import type { Json } from "@taskloom/queue/wire";
import type { EndState } from "./entry.ts";

/** The answer of a run to an update: the id of the update, the state and the encoded value, error or message. */
export type AnswerRecord = readonly [update: string, state: EndState, value: Json];

/** The text that is stored as the view of a run: all its views, and its last answers to updates. */
export interface ViewText {
  /** The encoded values of the views by their names. */
  readonly v: Readonly<Record<string, Json>>;
  /** The last answers, the oldest first. */
  readonly a: readonly AnswerRecord[];
}

const EMPTY: ViewText = { v: {}, a: [] };

/** Returns the views and answers of a run; none of both for a run that has stored no view. */
export function readViewText(text: string | undefined): ViewText {
  return text === undefined ? EMPTY : { ...EMPTY, ...(JSON.parse(text) as Partial<ViewText>) };
}
