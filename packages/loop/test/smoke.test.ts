import { expect, test } from "vitest";
import * as loop from "@taskloom/loop";
test("resolves to source", async () => {
  expect(Object.keys(loop)).toEqual(["version"]);
  expect(import.meta.resolve("@taskloom/loop")).toContain("src/index.ts");
});
