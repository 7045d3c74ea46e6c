import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as loop from "@taskloom/loop";
import * as offload from "@taskloom/offload";
import { expect, test } from "vitest";
import { findPython } from "../conformance/reference.ts";

const docs = join(import.meta.dirname, "../../docs");
const guide = readFileSync(join(docs, "asyncio-for-node.md"), "utf8");
const pythonNames = JSON.parse(
  readFileSync(join(import.meta.dirname, "python-3.13.json"), "utf8"),
) as string[];

const rows = [...guide.matchAll(/^\| `([^`]+)` +\| (?:`([^`]+)`|-) +\| (.*?) +\|$/gm)].map(
  ([, python = "", ours, where = ""]) => ({
    python: python.replace(/^loop\./, "AbstractEventLoop."),
    ours: ours?.replace(/^loop\./, "EventLoop."),
    where,
  }),
);

test("the table has every public name of Python 3.13's asyncio, once", () => {
  expect(rows.map((row) => row.python).toSorted()).toEqual(pythonNames.toSorted());
});

test("the list of those names is what this machine's Python 3.13 has", ({ skip }) => {
  const python = findPython();
  skip(python === undefined, "there is no Python 3.13 here");
  const script = join(import.meta.dirname, "public-names.py");
  const live = JSON.parse(execFileSync(python!, ["-W", "ignore", script], { encoding: "utf8" })) as string[];
  expect(live).toEqual(pythonNames);
});

test("each Taskloom name in the table is exported, or a member of a class that is", async () => {
  const exported: Record<string, unknown> = { ...offload, ...loop };
  const fields = await instancesWithFields();
  const isThere = (name: string): boolean => {
    const [owner = "", member] = name.split(".");
    if (member === undefined) return owner in exported;
    const { prototype } = (exported[owner] ?? {}) as { prototype?: object };
    return prototype !== undefined && (member in prototype || member in (fields[owner] ?? {}));
  };
  const names = rows.flatMap(({ ours }) => /^\w+(?:\.\w+)?/.exec(ours ?? "") ?? []);
  expect(names.length).toBeGreaterThan(200);
  expect(names.filter((name) => !isThere(name))).toEqual([]);
});

test("a row links to the source that has the name, or says why there is none", () => {
  const wrong = rows.filter(({ ours, where }) => {
    if (ours === undefined) return where === "";
    const source = /^\[[\w.-]+\]\(([^)]+)\)/.exec(where)?.[1];
    if (source === undefined) return true;
    const name = /^"?(?:\w+\.)?(\w+)/.exec(ours)?.[1] ?? "";
    return !new RegExp(`\\b${name}\\b`).test(readFileSync(join(docs, source), "utf8"));
  });
  expect(wrong).toEqual([]);
});

/** Instances of the classes whose fields the table names: a prototype does not have those. */
async function instancesWithFields(): Promise<Record<string, object>> {
  return await loop.run(async () => {
    const child = await loop.createSubprocess("true");
    await child.wait();
    return {
      EventLoop: loop.getRunningLoop(),
      IncompleteReadError: new loop.IncompleteReadError(new Uint8Array(), 1),
      LimitOverrunError: new loop.LimitOverrunError("", 1),
      Process: child,
      Queue: new loop.Queue(),
    };
  });
}
