import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Queue, Worker } from "bullmq";
import { expect, test } from "vitest";
import { Database, createSqliteBackend } from "../src/index.ts";

const module = new URL("./fixtures/totals.ts", import.meta.url).href;

test("a function of a user's module decides in one transaction, and moves jobs by BullMQ's rules", async () => {
  const folder = await mkdtemp(join(tmpdir(), "user-function-"));
  const path = join(folder, "test.sqlite");
  const database = Database.use({ path, sync: "full" });
  await database.ready();
  const options = { connection: { path } };
  const queue = new Queue("paint", options, createSqliteBackend);
  await queue.add("paint", {}, { jobId: "later", delay: 60_000 });

  expect(await database.callFunction(module, "add", "paint", 2, 3)).toBe(2);
  await expect(database.callFunction(module, "add", "paint", 2, 3)).rejects.toThrow("4 is more than 3");
  await expect(database.callFunction(module, "none")).rejects.toThrow(/exports no function none; export it/);
  expect(await queue.getDelayedCount()).toBe(1);
  // Nothing of the call that failed was stored.
  expect(await database.callFunction(module, "add", "paint", 1, 3)).toBe(3);
  expect(await queue.getWaitingCount()).toBe(1);
  // BullMQ refuses to promote a job that is not delayed, and the change is undone.
  await expect(database.callFunction(module, "add", "paint", 0, 3)).rejects.toMatchObject({ code: -3 });

  const worker = new Worker("paint", undefined, { ...options, autorun: false }, createSqliteBackend);
  const token = "worker:1";
  const job = await worker.getNextJob(token);
  expect(job?.id).toBe("later");
  expect(await database.callFunction(module, "postpone", "paint", "other:1")).toBe("active");
  expect(await queue.getActiveCount()).toBe(1);
  expect(await database.callFunction(module, "postpone", "paint", token)).toBe("active");
  expect(await (await queue.getJob("later"))?.getState()).toBe("delayed");
  expect((await queue.getJob("later"))?.attemptsMade).toBe(0);
  await worker.close();
  await queue.close();
  await database.close();
  await rm(folder, { recursive: true, force: true });
});
