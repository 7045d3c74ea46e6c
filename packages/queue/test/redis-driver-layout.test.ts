import { expect, test } from "vitest";
import { bullFile, bullHash, bullScripts } from "../src/engines/redis/driver/bullmq-texts.ts";
import type { BullScript } from "../src/engines/redis/driver/bullmq-texts.ts";
import { knowsLayout } from "../src/engines/redis/driver/layout.ts";

/** The SHA-1 of BullMQ's scripts for which the driver's scripts were written. */
const KNOWN: Readonly<Record<BullScript, string>> = {
  addStandardJob: "5ab432e88830d573e2fa33392ffbd4ad25a9b100",
  addDelayedJob: "81698fd2d28e7db1787595b3c464b188fa78bdcf",
  addPrioritizedJob: "299880da0f75f0b376ee8e87d20eae62f964ac5e",
  moveToActive: "d96ca626f1ea141b44a856b312fc636d99aa9ea9",
  moveToFinished: "69666e69dd5621df59067a03de685e55a486560d",
};

test.for(bullScripts)("BullMQ's script %s is the one that the driver mirrors", (name) => {
  expect(
    bullHash(name),
    `an update of BullMQ changed bullmq/${bullFile(name)}: compare it with the driver's scripts, run pnpm conformance:bullmq, and write the new hash here`,
  ).toBe(KNOWN[name]);
});

test("the layout of a queue is known by the version that BullMQ has stored", async () => {
  expect(await knowsLayout("bullmq:6.7.0")).toBe(true);
  expect(await knowsLayout("bullmq:7.0.0")).toBe(false);
  expect(await knowsLayout("bullmq-pro:6.7.0")).toBe(false);
  expect(await knowsLayout({ getQueueMetaField: async () => null })).toBe(true);
  expect(await knowsLayout({ getQueueMetaField: async () => "bullmq:5.1.0" })).toBe(false);
});
