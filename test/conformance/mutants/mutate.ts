import { stripTypeScriptTypes } from "node:module";

/** One line of a source file with one change. */
export interface Mutant {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  readonly before: string;
  readonly after: string;
}

/** Lines that only describe, name, measure or watch. Diagnosis has tests of its own. */
const diagnosis =
  /describe|debug|monitor|metrics|inspect|reportDropped|_failures|\.name\b|_name\b|_source|waits\b|stack\b|probe|Symbol\.toStringTag/i;

/**
 * The times at which the loop lets libuv run. No order of callbacks depends on them. Fairness has benches and
 * tests of its own.
 */
const turns =
  /budget|\blook\b|LOOK|setImmediate|nextTick|drain|settledNative|awake|holds|keepAlive|armed|#arm\b|setTimeout|clearTimeout|LONGEST_DELAY|outside|_hold|_release|_nudge|isAutomatic|activeLoops/i;

/**
 * Not part of asyncio: AbortSignals, native promises and the awaits of `async` functions, progress, I/O
 * hooks.
 */
const others =
  /signal|controller|leaf|leaves|_bodies|native|adopt|progress|_closeIo|_shutdownIo|asyncGenerator|outcome\.status|stackTraceLimit|_afterTurn/i;

/** The files of the async spelling; there, the words of that spelling exclude no line. */
export const asyncSpelling = /task\/(?:native-await|native-body|branch|requests|current-strand)\.ts$/;
const othersThere = /signal|controller|unlink|unfollow|_waitsFor|_towards/i;

/** The initial value of a field. */
const field = /^  (?:(?:readonly|protected|private|static) )*[#\w]+(?:: [^=]+)? = /;

/** Every match of a pattern is replaced separately. */
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
];

/** Returns all mutants of a source that still parse. Comments, types and imports are not changed. */
export function mutate(file: string, source: string): Mutant[] {
  const lines = source.split("\n");
  const out: Mutant[] = [];
  let comment = false;
  /** The last line of an import or of a type that takes several lines. */
  let skippedTo: RegExp | null = null;
  for (const [index, text] of lines.entries()) {
    const trimmed = text.trim();
    if (trimmed.startsWith("/*")) comment = true;
    const within = comment;
    if (trimmed.endsWith("*/")) comment = false;
    if (/^(?:export )?(?:type|interface|declare) |^import\b/.test(text)) {
      skippedTo = /[;}]$/.test(text) ? null : /^(?:export )?(?:interface|declare) /.test(text) ? /^\}/ : /;$/;
      continue;
    }
    if (skippedTo !== null) {
      if (skippedTo.test(text)) skippedTo = null;
      continue;
    }
    // A type.
    if (/^\s*\w+: \w+ & \{|^const \w+: \{/.test(text)) continue;
    if (
      diagnosis.test(text) ||
      turns.test(text) ||
      (asyncSpelling.test(file) ? othersThere : others).test(text) ||
      field.test(text)
    )
      continue;
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
  // Quoted text is wording.
  const quoted = code.search(/["`]/);
  for (const [pattern, by] of operators) {
    for (const match of code.matchAll(pattern)) {
      if (quoted >= 0 && match.index > quoted) continue;
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
  // A statement on a line of its own is deleted.
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
