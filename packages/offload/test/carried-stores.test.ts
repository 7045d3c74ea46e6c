import { describe, expect, it } from "vitest";
import * as fixtures from "./fixtures/journal.ts";
import { threaded } from "../src/index.ts";
import { makePool } from "./support.ts";

const url = new URL("./fixtures/journal.ts", import.meta.url).href;

describe("a store whose value is more than data", () => {
  it("has a stand-in on the thread, and hears what is said there before the result", async () => {
    const there = threaded<typeof fixtures>(url, { executor: makePool({ maxThreads: 1 }) });
    const heard: string[] = [];
    const write = (line: string): void => void heard.push(line);
    const calls = ["a", "b"].map((title) =>
      fixtures.journal.run({ title, write }, () => {
        const call = there.writeLines(2);
        call.addDoneCallback(() => heard.push(`${title} ended`));
        return call;
      }),
    );
    expect([await calls[0], await calls[1]]).toEqual(["a", "b"]);
    expect(heard.filter((line) => line.startsWith("a"))).toEqual(["a, line 1", "a, line 2", "a ended"]);
    expect(heard.filter((line) => line.startsWith("b"))).toEqual(["b, line 1", "b, line 2", "b ended"]);
    expect(await there.writeLines(1)).toBeUndefined();
  });

  it("hears nothing of a call that has ended", async () => {
    const there = threaded<typeof fixtures>(url, { executor: makePool({ maxThreads: 1 }) });
    const heard: string[] = [];
    await fixtures.journal.run({ title: "a", write: (line) => void heard.push(line) }, () =>
      there.keepJournal(),
    );
    await expect(there.writeLate()).rejects.toThrow(/keepJournal that this belongs to has ended/);
    expect(heard).toEqual([]);
  });
});
