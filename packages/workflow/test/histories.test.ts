import { readdirSync, readFileSync } from "node:fs";
import { checkReplay } from "@taskloom/workflow/testing";
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
