import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const sources = [
  "packages/loop",
  "packages/offload",
  "packages/queue",
  "packages/workflow",
  "packages/bullmq-sqlite",
  "apps/worker",
];

function filesBelow(folder: string, end: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(end) && !/(^|\/)(node_modules|dist|coverage)\//.test(path))
    .map((path) => `${folder}/${path}`);
}

const read = (file: string): string => readFileSync(join(root, file), "utf8");
const lineOf = (text: string, index: number): number => text.slice(0, index).split("\n").length;

/** Returns the doc comments of a file without their asterisks and their examples, each with its place. */
function docComments(file: string): { place: string; text: string }[] {
  const source = read(file);
  return [...source.matchAll(/\/\*\*([\s\S]*?)\*\//g)].map((match) => ({
    place: `${file}:${lineOf(source, match.index)}`,
    text: match[1]!
      .replaceAll(/^[ \t]*\* ?/gm, "")
      .replaceAll(/```[\s\S]*?```/g, "")
      .trim(),
  }));
}

/** Returns the heads of the tables of a Markdown file, cell by cell, each with its place. */
function tableHeads(file: string): { place: string; cell: string }[] {
  const lines = read(file).split("\n");
  return lines.flatMap((line, index) => {
    if (!/^\|[\s:|-]+\|$/.test(line)) return [];
    const head = lines[index - 1]!;
    return head
      .split("|")
      .slice(1, -1)
      .map((cell) => ({ place: `${file}:${index}`, cell: cell.trim() }));
  });
}

const pages = [
  ...filesBelow("docs", ".md"),
  ...filesBelow("packages", "README.md"),
  ...filesBelow("apps", "README.md"),
  "README.md",
  "CONTRIBUTING.md",
];

const glossary = read("docs/glossary.md");
/** Returns the rows of the table below a heading, cell by cell. */
const rowsBelow = (heading: string): string[][] => {
  const section = glossary.split(/^## /m).find((part) => part.startsWith(heading))!;
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  return rows.slice(1).map((row) => row.split("|").slice(1, -1));
};
/** Returns the code spans of a text without their marks. */
const codeSpans = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
const withoutCode = (text: string): string => text.replaceAll(/```[\s\S]*?```|`[^`\n]*`|\]\([^)]*\)/g, "");
const rules = rowsBelow("Use, and do not use");
const wordsNotInTexts = rules.flatMap((cells) => codeSpans(cells[3]!));
const UNWANTED = new RegExp(`\\b(?:${wordsNotInTexts.join("|").replaceAll(" ", "\\s+")})\\b`, "gi");
/** Returns the words of a text that the glossary replaces by other words, each with its place. */
const unwanted = ({ place, text }: { place: string; text: string }): string[] =>
  [...withoutCode(text).matchAll(UNWANTED)].map(([word]) => `${place}: ${word}`);

const FREE_RELATIVE = /^(what|who|whoever|which)\b/i;

describe.each(sources)("%s", (folder) => {
  const comments = filesBelow(`${folder}/src`, ".ts").flatMap(docComments);

  test("has doc comments", () => expect(comments.length).toBeGreaterThan(50));

  test("no doc comment begins with What, Who, Whoever or Which", () => {
    expect(comments.filter(({ text }) => FREE_RELATIVE.test(text)).map(({ place }) => place)).toEqual([]);
  });

  test("no sentence of a doc comment begins with What, Who, Whoever or Which", () => {
    const sentences = comments.flatMap(({ place, text }) =>
      text.split(/(?<=[.:!?])\s+(?=[A-Z])/).map((sentence) => ({ place, sentence })),
    );
    expect(
      sentences.filter(({ sentence }) => FREE_RELATIVE.test(sentence)).map(({ place }) => place),
    ).toEqual([]);
  });

  test("a function returns its result, and does not give it", () => {
    expect(
      comments
        .filter(({ text }) => /\b(gives?|giving)\b/i.test(text))
        .map(({ place, text }) => `${place} ${text}`),
    ).toEqual([]);
  });
});

test.each(sources)('no doc comment of %s has a word of the glossary\'s column "not in texts"', (folder) => {
  expect(wordsNotInTexts.length).toBeGreaterThan(15);
  const comments = filesBelow(`${folder}/src`, ".ts").flatMap(docComments);
  expect(comments.flatMap(unwanted)).toEqual([]);
});

test("no head of a table begins with What, Who, Whoever or Which, or is about the one and the other", () => {
  const heads = pages.flatMap(tableHeads);
  expect(heads.length).toBeGreaterThan(20);
  expect(heads.filter(({ cell }) => FREE_RELATIVE.test(cell) || /\bthe (one|other)\b/i.test(cell))).toEqual(
    [],
  );
});

describe("docs/glossary.md", () => {
  test("each link of an entry leads to the declaration of its name", () => {
    const links = [...glossary.matchAll(/\[`([^`]+)`\]\(\.\.\/([^)#]+\.ts)\)/g)];
    expect(links.length).toBeGreaterThan(40);
    const broken = links.filter(([, name, file]) =>
      name!.endsWith(".ts")
        ? !file!.endsWith(`/${name}`)
        : !new RegExp(`\\b(class|interface|type|function|const) ${name}\\b`).test(read(file!)),
    );
    expect(broken.map(([link]) => link)).toEqual([]);
  });

  test('no guide has a word of the column "not in texts"', () => {
    const guides = [...pages, "CHANGELOG.md"].filter(
      (page) => page !== "docs/glossary.md" && !page.startsWith("docs/decisions/"),
    );
    expect(guides.flatMap((page) => unwanted({ place: page, text: read(page) }))).toEqual([]);
  });

  test("words that are not in public names", () => {
    const words = new Set(rules.flatMap((cells) => codeSpans(cells[4]!)));
    expect(words.size).toBeGreaterThan(10);
    const names = sources.flatMap((folder) => publicNames(folder));
    expect(names.length).toBeGreaterThan(600);
    const parts = (name: string): string[] => name.split(/(?=[A-Z])|_/).map((part) => part.toLowerCase());
    expect(names.filter(({ name }) => parts(name).some((part) => words.has(part)))).toEqual([]);
  });

  test("a public type has a name of its own, or is a word with two meanings", () => {
    const exported = sources.flatMap((folder) => {
      const sourceTexts = filesBelow(`${folder}/src`, ".ts").map(read).join("\n");
      // A name that another package declares, and this one exports, too, is still one name.
      return exportsOf(folder).filter((name) =>
        new RegExp(`^export (abstract )?(class|interface|type) ${name}\\b`, "m").test(sourceTexts),
      );
    });
    expect(exported.length).toBeGreaterThan(100);
    const twice = exported.filter((name, index) => exported.indexOf(name) !== index);
    const known = rowsBelow("Words with two meanings").flatMap((cells) => codeSpans(cells[0]!));
    expect([...new Set(twice)].toSorted()).toEqual(known.toSorted());
  });
});

/** Returns the names that the index of a package exports. */
function exportsOf(folder: string): string[] {
  const lists = read(`${folder}/src/index.ts`).matchAll(/^export (?:type )?\{([^}]*)\}/gm);
  return [...lists].flatMap((match) =>
    match[1]!
      .split(",")
      .map((name) => name.trim().replace(/^.* as /, ""))
      .filter((name) => name !== ""),
  );
}

/** Returns the exported names of a package, and the members of its exported classes and interfaces. */
function publicNames(folder: string): { name: string; place: string }[] {
  const exported = new Set(exportsOf(folder));
  const members = filesBelow(`${folder}/src`, ".ts").flatMap((file) => {
    let owner: string | undefined;
    return read(file)
      .split("\n")
      .flatMap((line, index) => {
        owner = /^export (?:abstract )?(?:class|interface) (\w+)/.exec(line)?.[1] ?? owner;
        if (line === "}") owner = undefined;
        const member = /^ {2}(?:(?:static|readonly|abstract|get|set|async|\*) ?)*([a-zA-Z]\w*)\??[(<:]/.exec(
          line,
        )?.[1];
        return owner !== undefined && exported.has(owner) && member !== undefined
          ? [{ name: member, place: `${file}:${index + 1}` }]
          : [];
      });
  });
  return [...[...exported].map((name) => ({ name, place: `${folder}/src/index.ts` })), ...members];
}
