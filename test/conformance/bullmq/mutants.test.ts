import { describe, expect, test } from "vitest";
import { EQUIVALENTS } from "./mutants/equivalent.ts";
import { postgresMutants } from "./mutants/postgres-judge.ts";
import { redisMutants } from "./mutants/redis-judge.ts";
import { mutantsOf, mutated } from "./mutants/text-mutant.ts";

const all = [...redisMutants(), ...postgresMutants()];

describe.for(EQUIVALENTS)("equivalent mutants of the driver: $reason", ({ mutants }) => {
  test.for(mutants)("%s: %s", ([before, after]) => {
    expect(all.some((each) => each.before.trim() === before && each.after.trim() === after)).toBe(true);
  });
});

test("a mutant has one changed line, and BullMQ's own lines are left alone", () => {
  const text = "local a = 1\nif a == 1 then\n  foreign(1)\nend";
  const language = {
    leftOut: /^end$/,
    statement: /^\s*\w+\(.*\)$/,
    changes: [{ kind: "comparison", pattern: /==/g, by: "~=" }],
  };
  const [only, ...others] = mutantsOf("text", text, language, (line) => line !== 3);
  expect(others).toEqual([]);
  expect(only).toMatchObject({ line: 2, before: "if a == 1 then", after: "if a ~= 1 then" });
  expect(mutated(text, only!)).toBe("local a = 1\nif a ~= 1 then\n  foreign(1)\nend");
});
