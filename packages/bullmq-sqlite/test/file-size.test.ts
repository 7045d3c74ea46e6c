import { mkdtemp, rm } from "node:fs/promises";
import { statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createSqliteBackend } from "@taskloom/bullmq-sqlite";
import { Queue, Worker } from "bullmq";
import { expect, test } from "vitest";

const full = process.env["TASKLOOM_FAULTS"] === "full";
const jobs = full ? 200_000 : 10_000;
const batch = 1_000;
const megabyte = 1_048_576;

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

test(
  `${jobs} jobs of which 1,000 are kept: file and log stay small, beside a slow reader too, and shrink when idle`,
  { timeout: 1_800_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "bullmq-sqlite-"));
    const path = join(folder, "jobs.sqlite");
    const connection = { path };
    const queue = new Queue("many", { connection }, createSqliteBackend);
    const retention = { removeOnComplete: { count: 1_000 } };
    const worker = new Worker(
      "many",
      async () => "x".repeat(100),
      { connection, concurrency: 100, ...retention },
      createSqliteBackend,
    );
    let done = 0;
    let batchEnded = (): void => {};
    worker.on("completed", () => {
      if (++done % batch === 0) batchEnded();
    });
    await queue.waitUntilReady();
    const reader = new DatabaseSync(path, { readOnly: true });
    let largestFile = 0;
    let largestLog = 0;
    for (let from = 0; from < jobs; from += batch) {
      const ended = new Promise<void>((resolve) => (batchEnded = resolve));
      // Every other batch runs beside a reader that holds its view of the file.
      const isRead = (from / batch) % 2 === 1;
      if (isRead) {
        reader.exec("BEGIN");
        reader.prepare("SELECT count(*) FROM job").get();
      }
      await queue.addBulk(Array.from({ length: batch }, (_, n) => ({ name: "job", data: { n } })));
      await ended;
      if (isRead) reader.exec("COMMIT");
      largestFile = Math.max(largestFile, sizeOf(path));
      largestLog = Math.max(largestLog, sizeOf(`${path}-wal`));
    }
    expect(largestFile).toBeLessThan(16 * megabyte);
    expect(largestLog).toBeLessThan(64 * megabyte);
    await worker.close();
    await queue.obliterate({ force: true });
    // All is deleted, so both files shrink as soon as nothing is to be done.
    await expect.poll(() => sizeOf(`${path}-wal`), { timeout: 60_000 }).toBe(0);
    await expect.poll(() => sizeOf(path), { timeout: 60_000 }).toBeLessThan(megabyte);
    reader.close();
    await queue.close();
    await rm(folder, { recursive: true, force: true });
  },
);
