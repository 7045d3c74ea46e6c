import type { Json } from "@taskloom/queue/wire";
import { decodeEntry } from "../journal/entry.ts";
import { readViewText } from "../journal/view-text.ts";
import type { AnswerRecord, ViewText } from "../journal/view-text.ts";

/** The number of answers to updates that are kept for clients that have lost them. */
const MAX_ANSWERS = 100;

/** The values of a run's views, and its last answers to updates: the stored text that others read without the run. */
export class ShownState {
  /** Both are made for the first entry: few runs have views or answers. */
  #views: Record<string, Json> | null = null;
  #answers: Map<string, AnswerRecord> | null = null;

  /** @param stored the text that is stored; undefined for a new run. */
  constructor(stored: string | undefined) {
    if (stored === undefined) return;
    const { v, a } = readViewText(stored);
    this.#views = { ...v };
    if (a.length > 0) this.#answers = new Map(a.map((answer) => [answer[0], answer]));
  }

  /** Returns whether a tick has changed the text. */
  take(entry: string, views: ReadonlyMap<string, Json>): boolean {
    for (const [name, value] of views) (this.#views ??= {})[name] = value;
    const answers = answersOf(entry);
    if (answers.length > 0) this.#keep(answers);
    return views.size > 0 || answers.length > 0;
  }

  #keep(answers: readonly AnswerRecord[]): void {
    const kept = (this.#answers ??= new Map());
    for (const answer of answers) kept.set(answer[0], answer);
    for (const id of kept.keys()) {
      if (kept.size <= MAX_ANSWERS) break;
      kept.delete(id);
    }
  }

  /** Returns the answer to an update that was sent again. */
  answerTo(update: string): AnswerRecord | undefined {
    return this.#answers?.get(update);
  }

  toString(): string {
    return JSON.stringify({
      v: this.#views ?? {},
      a: [...(this.#answers?.values() ?? [])],
    } satisfies ViewText);
  }
}

function answersOf(entry: string): AnswerRecord[] {
  // Nearly no entry has one, and this look is cheaper than to decode it.
  if (!entry.includes('["u",')) return [];
  const answers: AnswerRecord[] = [];
  for (const command of decodeEntry(entry).commands) {
    if (command[0] === "u") answers.push([command[1], command[2], command[3]]);
  }
  return answers;
}
