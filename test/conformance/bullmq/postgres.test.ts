import { expect } from "vitest";
import { postgresTest } from "../../support/postgres.ts";
import { compare } from "./compare.ts";
import { postgresSides } from "./postgres-sides.ts";

/** The full number takes minutes: BullMQ's side commits after each command. */
const SEQUENCES = process.env["TASKLOOM_FAULTS"] === "full" ? 300 : 40;

postgresTest(
  "the driver on PostgreSQL stores, answers and notifies exactly as BullMQ's own commands",
  { timeout: 600_000 },
  async ({ postgres }) => {
    const sides = await postgresSides(postgres);
    for (let index = 0; index < SEQUENCES; index++)
      expect(await compare(sides, { seed: 16, index, isStepwise: false })).toBe(undefined);
    await sides.close();
  },
);
