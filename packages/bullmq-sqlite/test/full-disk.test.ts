import { join } from "node:path";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import { expect } from "vitest";
import { smallDiskTest as test } from "../../../test/support/small-disk.ts";

const job = (size: number): never =>
  ({ name: "job", data: JSON.stringify("x".repeat(size)), opts: {} }) as never;

test("the lock of a job that was claimed before the disk was full has the token of its run once there is room", async ({
  disk,
}) => {
  const path = join(disk.path, "jobs.sqlite");
  const open = async () => {
    const backend = createSqliteBackend("full", { connection: { path } }, {});
    await backend.waitUntilReady();
    return backend;
  };
  const [queue, worker] = [await open(), await open()];
  const wait = worker.waitForJob(60);
  await queue.addJob(job(10), "one");
  await wait;
  const giveBack = disk.fill();
  // The pages that the log has left are used up first.
  for (let full = false; !full;)
    full = await queue.addJob(job(2_000), "").then(
      () => false,
      () => true,
    );
  await worker.moveToActive("token");
  // The new token travels with the next operation, and its turn fails.
  await expect(queue.addJob(job(100_000), "large")).rejects.toMatchObject({ code: "SQLITE_FULL" });
  giveBack();
  expect(await worker.extendLock("one", "token", 1_000)).toBe(1);
  await Promise.all([queue.close(), worker.close()]);
});
