import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TaskQueue, TaskWorker, defineTask, openEngine } from "@taskloom/queue";
import { expect, test } from "vitest";
import { newFolder } from "./fixtures/folder.ts";

const hold = defineTask({ name: "hold" }, () => new Promise<void>(() => {}));
const length = defineTask({ name: "length" }, async (text: string) => text.length);

test("when the database dies, the worker and whoever waits end with the reason, and the loop stays free", async () => {
  const folder = newFolder();
  const engine = openEngine(`embedded:${folder}`);
  const worker = new TaskWorker({ engine, tasks: [hold, length], drain: 0 });
  const running = worker.run();
  await worker.ready();
  const queue = new TaskQueue({ engine });
  const pending = queue.submit(hold);
  await pending.sent();
  // The log can be written no more: PostgreSQL panics as soon as it begins another file of it.
  rmSync(join(folder, "pgdata/pg_wal"), { recursive: true });
  writeFileSync(join(folder, "pgdata/pg_wal"), "");
  const text = randomBytes(300_000).toString("base64");
  const ended = await Promise.allSettled([
    pending,
    running,
    ...Array.from({ length: 8 }, () => queue.submit(length, text)),
  ]);
  const crashed = { status: "rejected", reason: { code: "EMBEDDED_CRASHED" } };
  expect(ended.slice(0, 2)).toMatchObject([crashed, crashed]);
  expect(ended.at(-1)).toMatchObject(crashed);
  expect(engine.downFor()).toBeGreaterThan(0);
  await expect(queue.submit(hold)).rejects.toMatchObject({ code: "EMBEDDED_CRASHED" });
  await queue.close();
  await engine.close();
});
