import { faultTest } from "../support/fault-test.ts";
import { sideBySide } from "./side-by-side.ts";

faultTest(
  "on Redis, workers and clients of BullMQ and Taskloom share a queue, and the death of either costs no job",
  { timeout: 600_000 },
  async ({ redis, folder }) => {
    await sideBySide(redis.url, folder);
  },
);
