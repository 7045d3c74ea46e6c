import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { LIMIT_MIGRATIONS } from "../../src/engines/postgres/limits/postgres-limits.ts";

test("a released migration of the limits does not change", () => {
  expect(LIMIT_MIGRATIONS.map((text) => createHash("sha256").update(text).digest("hex"))).toEqual([""]);
});
