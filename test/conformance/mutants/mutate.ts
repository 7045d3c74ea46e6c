import { stripTypeScriptTypes } from "node:module";

/** One line of a source file, changed in one place. */
export interface Mutant {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  readonly before: string;
  readonly after: string;
}

/** Every match of the pattern is replaced on its own. */
const operators: readonly (readonly [RegExp, string])[] = [
  [/===/g, "!=="],
  [/!==/g, "==="],
  [/(?<= )<(?= )/g, "<="],
  [/(?<= )<=(?= )/g, "<"],
  [/(?<= )>(?= )/g, ">="],
  [/(?<= )>=(?= )/g, ">"],
  [/&&/g, "||"],
  [/\|\|/g, "&&"],
  [/(?<= )\+(?= )/g, "-"],
  [/(?<= )-(?= )/g, "+"],
  [/\+= /g, "-= "],
  [/-= /g, "+= "],
  [/\+\+/g, "--"],
  [/--/g, "++"],
  [/\btrue\b/g, "false"],
  [/\bfalse\b/g, "true"],
  [/(?<=\()!(?=[\w(])/g, ""],
  [/(?<= = )0(?=;)/g, "1"],
];

/** All mutants of a source that still parse; what is commentary, types or imports is left alone. */
export function mutate(file: string, source: string): Mutant[] {
  const lines = source.split("\n");
  const out: Mutant[] = [];
  let comment = false;
  let skipped = false;
  for (const [index, text] of lines.entries()) {
    const trimmed = text.trim();
    if (trimmed.startsWith("/*")) comment = true;
    const within = comment;
    if (trimmed.endsWith("*/")) comment = false;
    if (/^(?:export )?(?:type|interface|declare) /.test(trimmed) || /^import\b/.test(trimmed)) {
      skipped = !/;$|\}$/.test(trimmed);
      continue;
    }
    if (skipped) {
      if (/^\}|;$/.test(text)) skipped = false;
      continue;
    }
    if (within || trimmed === "" || trimmed.startsWith("//") || trimmed.startsWith("*")) continue;
    for (const changed of new Set(changes(text))) {
      const mutated = lines.with(index, changed).join("\n");
      if (parses(mutated)) out.push({ file, line: index + 1, before: trimmed, after: changed.trim() });
    }
  }
  return out;
}

function* changes(line: string): Generator<string> {
  const code = line.replace(/ \/\/ .*$/, "");
  for (const [pattern, by] of operators) {
    for (const match of code.matchAll(pattern)) {
      yield code.slice(0, match.index) + by + code.slice(match.index + match[0].length);
    }
  }
  const condition = /^(?<head>\s*(?:\} else )?(?:if|while) )\((?<what>.*)\)(?<tail> \{| [^)]*;)$/.exec(
    code,
  )?.groups;
  if (condition) {
    yield `${condition["head"]}(false)${condition["tail"]}`;
    if (!condition["head"]!.includes("while")) yield `${condition["head"]}(true)${condition["tail"]}`;
  }
  // A statement that is a line of its own goes.
  if (
    /^\s*(?:this\b|super\.|[\w.#?![\]]+(?:\(| (?:[-+|&]?=|\?\?=|\|\|=) )|break;|continue;|(?:yield|await)\b)/.test(
      code,
    ) &&
    code.endsWith(";")
  ) {
    const indent = /^\s*/.exec(code)![0];
    if (
      !/^\s*(?:return|const|let|throw|case|super\(|readonly|static|override|declare|#?\w+[?!]?: )/.test(code)
    )
      yield `${indent};`;
  }
  const returned = /^(?<head>.*\breturn) (?<what>[^;]+);$/.exec(code)?.groups;
  if (returned && !/^(?:undefined|true|false|this)$/.test(returned["what"]!))
    yield `${returned["head"]} undefined;`;
}

function parses(source: string): boolean {
  try {
    stripTypeScriptTypes(source);
    return true;
  } catch {
    return false;
  }
}
