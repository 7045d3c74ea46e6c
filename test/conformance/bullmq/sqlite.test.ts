import { expect, test } from "vitest";
import { compare } from "./compare.ts";
import { sqliteSides } from "./sqlite-sides.ts";

test(
  "300 random sequences store the same through the driver as through BullMQ's own commands",
  {
    timeout: 300_000,
  },
  async () => {
    const sides = await sqliteSides();
    try {
      for (let index = 0; index < 300; index++)
        expect(await compare(sides, { seed: 1, index, isStepwise: index % 10 === 0 })).toBeUndefined();
    } finally {
      await sides.close();
    }
  },
);
