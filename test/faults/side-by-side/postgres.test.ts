import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postgresTest } from "../../support/postgres.ts";
import { sideBySide } from "./side-by-side.ts";

postgresTest(
  "on PostgreSQL, workers and clients of BullMQ and Taskloom share a queue, and the death of either costs no job",
  { timeout: 600_000 },
  async ({ postgres }) => {
    const folder = await mkdtemp(join(tmpdir(), "taskloom-test-"));
    try {
      await sideBySide(postgres, folder);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);
