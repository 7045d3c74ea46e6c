import { expect, test } from "vitest";
import * as imported from "../../examples/workflow-import.ts";
import * as order from "../../examples/workflow-order.ts";
import * as saga from "../../examples/workflow-saga.ts";
import * as subscription from "../../examples/workflow-subscription.ts";
import { outputOf } from "./output.ts";

test("an order with an approval, and one with a refund", async () => {
  expect(await outputOf(() => order.main())).toEqual([
    "waiting for approval",
    "invoice.pdf and label.pdf sent, approved by Ada",
    "refunded: receipt of 30",
    "nobody approved the order",
  ]);
});

test("a saga undoes in reverse order", async () => {
  expect(await outputOf(() => saga.main())).toEqual([
    "flight to Rome, hotel in Rome, car in Rome",
    "undo: hotel in Venice",
    "undo: flight to Venice",
    "no cars in Venice",
  ]);
});

test("a subscription of two years survives a crash at each append", async () => {
  const [left, crashes] = await outputOf(() => subscription.main());
  expect(left).toBe("Ada left after month 10");
  expect(crashes).toMatch(/^the same end after each of [1-9]\d+ crashes$/);
});

test("an import goes on after its worker was killed", { timeout: 60_000 }, async () => {
  expect(await outputOf(() => imported.main(2_000))).toEqual([
    "the worker was killed in the middle",
    `sum of 2000 rows: ${Array.from({ length: 2_000 }, (_, row) => row % 7).reduce((a, b) => a + b, 0)}`,
  ]);
});
