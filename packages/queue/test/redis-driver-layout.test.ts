import { expect, test } from "vitest";
import { bullFile, bullText, changedScripts } from "../src/engines/redis/driver/bullmq-texts.ts";
import { knowsLayout } from "../src/engines/redis/driver/layout.ts";

test("BullMQ's scripts are those that the driver mirrors", () => {
  expect(
    changedScripts().map((name) => `bullmq/${bullFile(name)}`),
    "an update of BullMQ changed these scripts: compare them with the driver's, run pnpm conformance:bullmq, and write the new hashes into bullmq-texts.ts",
  ).toEqual([]);
});

test("a script that BullMQ changes or no longer has is noticed", () => {
  const changed = changedScripts((name) => {
    if (name === "moveToActive") throw new Error("no such file");
    return name === "addStandardJob" ? `${bullText(name)}\n` : bullText(name);
  });
  expect(changed).toEqual(["addStandardJob", "moveToActive"]);
});

test("the layout of a queue is known by the version that BullMQ has stored", async () => {
  expect(await knowsLayout("bullmq:6.7.0")).toBe(true);
  expect(await knowsLayout("bullmq:7.0.0")).toBe(false);
  expect(await knowsLayout("bullmq-pro:6.7.0")).toBe(false);
  expect(await knowsLayout({ getQueueMetaField: async () => null })).toBe(true);
  expect(await knowsLayout({ getQueueMetaField: async () => "bullmq:5.1.0" })).toBe(false);
});
