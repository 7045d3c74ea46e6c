import { readdirSync, readFileSync } from "node:fs";
import { checkReplay, decodeEntry } from "@taskloom/workflow/running";
import { exploreCrashes } from "@taskloom/workflow/testing";
import { expect, test } from "vitest";
import { programOf, workflowOf } from "./programs.ts";
import type { RecordedHistory } from "./fixtures/recorded.ts";

const folder = new URL("fixtures/", import.meta.url);
const files = readdirSync(folder).filter((name) => /^histories-.*\.json$/.test(name));

test("each release has left its histories", () => {
  expect(files).toContain("histories-0.1.json");
});

test.each(files)("the histories of %s replay with the code of today", async (file) => {
  const histories = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as RecordedHistory[];
  expect(histories.length).toBeGreaterThan(30);
  for (const { spelling, seed, entries } of histories) {
    const workflow = workflowOf(programOf(seed), spelling) as never;
    // oxlint-disable-next-line no-await-in-loop -- one history after the other
    await checkReplay(workflow, entries, { id: "workflow.explored", args: [] });
  }
});

test("a history names the order of the loop, and another order is refused", async () => {
  const histories: string[][] = [];
  const program = workflowOf(programOf(7), "generator");
  await exploreCrashes(program, {
    seeds: [7],
    maxCrashes: 0,
    onLived: (lived) => histories.push([...lived.histories[0]!]),
  });
  const [first, ...rest] = histories[0]!;
  expect(first).toMatch(/^\["o1",\d/);
  expect(decodeEntry(first!)).toMatchObject({ order: 1, deliveries: [] });
  expect(rest.map((entry) => decodeEntry(entry).order).filter((order) => order !== undefined)).toEqual([]);
  const later = [first!.replace("o1", "o2"), ...rest];
  const recorded = { id: "workflow.explored", args: [] };
  await expect(checkReplay(program, later, recorded)).rejects.toThrow(
    /was recorded in order 2 of the loop, and this release has order 1/,
  );
  // Histories of before there was a version have order 1.
  await checkReplay(program, [first!.replace('"o1",', ""), ...rest], recorded);
});
