import { expect, test } from "vitest";
import { failureKey } from "../src/operate/failure-key.ts";

const kindOf = (message: string): string => (JSON.parse(failureKey("t", "E", message)) as string[])[2]!;

test.each([
  ["550 no such mailbox ada@example.com", "# no such mailbox #"],
  ["GET https://api.example.com/v1/orders/7?x=1 answered 503", "GET # answered #"],
  ["connect ECONNREFUSED 127.0.0.1:6379", "connect ECONNREFUSED #.#.#.#:#"],
  [`job 01J8Q3H5Z9VQ19D764KQ5JQF3H and 5f0c954e-6b0a-4c7e-9a53-0d8a7e0c1f11`, "job # and #"],
  [`no field "name" of 'ada'`, "no field # of #"],
  ["a name: a value, no id", "a name: a value, no id"],
])("failures are one kind, whatever their values: %s", (message, kind) => {
  expect(kindOf(message)).toBe(kind);
});

test("a long message costs a time that grows with its length alone", () => {
  for (const word of ["a".repeat(200_000), "a.b-".repeat(50_000), "ab:".repeat(60_000)])
    expect(kindOf(word)).toHaveLength(word.length);
});
