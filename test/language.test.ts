import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const sources = [
  "packages/loop",
  "packages/offload",
  "packages/queue",
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

test("no head of a table begins with What, Who, Whoever or Which, or is about the one and the other", () => {
  const pages = [
    ...filesBelow("docs", ".md"),
    ...filesBelow("packages", "README.md"),
    ...filesBelow("apps", "README.md"),
    "README.md",
    "CONTRIBUTING.md",
  ];
  const heads = pages.flatMap(tableHeads);
  expect(heads.length).toBeGreaterThan(20);
  expect(heads.filter(({ cell }) => FREE_RELATIVE.test(cell) || /\bthe (one|other)\b/i.test(cell))).toEqual(
    [],
  );
});
