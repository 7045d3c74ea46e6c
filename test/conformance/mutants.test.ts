import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { equivalents } from "./mutants/equivalent.ts";
import { mutate } from "./mutants/mutate.ts";

const sources = join(import.meta.dirname, "../../packages/loop/src");

describe.for(equivalents)("equivalent mutants: $reason", ({ mutants }) => {
  test.for(mutants)("%s: %s => %s", ([file, before, after]) => {
    const path = join(sources, file);
    expect(existsSync(path)).toBe(true);
    const made = mutate(`packages/loop/src/${file}`, readFileSync(path, "utf8"));
    expect(made.some((each) => each.before === before && each.after === after)).toBe(true);
  });
});
