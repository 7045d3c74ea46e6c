import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { LIMIT_MIGRATIONS } from "../../src/engines/postgres/limits/postgres-limits.ts";

test("a released migration of the limits does not change", () => {
  expect(LIMIT_MIGRATIONS.map((text) => createHash("sha256").update(text).digest("hex"))).toEqual([
    "2f3536b365f3f5d38b44b359ba4646bc8bb4af67cd88efc6b2040197efb7f612",
  ]);
});
