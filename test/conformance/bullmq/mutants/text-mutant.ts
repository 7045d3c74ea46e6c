/** One line of a script or of a function with one change. */
export interface TextMutant {
  /** The script or the list of functions. */
  readonly source: string;
  /** The line in the text, from 1 on. */
  readonly line: number;
  readonly before: string;
  readonly after: string;
  /** The kind of the change. */
  readonly kind: string;
}

/** A systematic change: every match of a pattern is replaced separately. */
export interface Change {
  readonly kind: string;
  readonly pattern: RegExp;
  readonly by: string | ((match: string) => string);
}

/** The lines of a language that take part, and the changes of one line. */
export interface Language {
  readonly changes: readonly Change[];
  /** Lines whose effect no sequence of single operations can see, or that are no code. */
  readonly leftOut: RegExp;
  /** A whole line that can be deleted without breaking the syntax. */
  readonly statement: RegExp;
}

/** Returns a text with the line of a mutant changed. */
export function mutated(text: string, { line, after }: Pick<TextMutant, "line" | "after">): string {
  return text
    .split("\n")
    .with(line - 1, after)
    .join("\n");
}

/**
 * Returns all mutants of a text.
 *
 * @param isOwn returns whether a line, from 1 on, is ours. BullMQ's texts inside ours are not changed.
 */
export function mutantsOf(
  source: string,
  text: string,
  language: Language,
  isOwn: (line: number) => boolean,
): TextMutant[] {
  const mutants: TextMutant[] = [];
  for (const [index, before] of text.split("\n").entries()) {
    const line = index + 1;
    if (!isOwn(line) || before.trim() === "" || language.leftOut.test(before)) continue;
    const seen = new Set([before]);
    for (const { kind, after } of changesOf(before, language)) {
      if (seen.has(after)) continue;
      seen.add(after);
      mutants.push({ source, line, before, after, kind });
    }
  }
  return mutants;
}

function* changesOf(line: string, language: Language): Generator<{ kind: string; after: string }> {
  const code = line.replace(/ -- .*$/, "");
  if (language.statement.test(code) && isBalanced(code)) yield { kind: "delete", after: "" };
  for (const { kind, pattern, by } of language.changes) {
    for (const match of code.matchAll(pattern)) {
      const [found] = match;
      const put = typeof by === "string" ? by : by(found);
      yield { kind, after: code.slice(0, match.index) + put + code.slice(match.index + found.length) };
    }
  }
}

function isBalanced(code: string): boolean {
  return code.split("(").length === code.split(")").length;
}
