import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { Database } from "@taskloom/bullmq-sqlite";
import { TaskQueue, TaskWorker, openEngine } from "@taskloom/queue";
import { expect, test } from "vitest";
import { newFolder } from "./fixtures/folder.ts";
import { hold, where } from "./fixtures/tasks.ts";

test("a closed engine refuses by name, and close again is nothing", async () => {
  const engine = openEngine(`embedded:${newFolder()}`);
  await engine.connect();
  await engine.close();
  await engine.close();
  await expect(engine.connect()).rejects.toMatchObject({ code: "EMBEDDED_CLOSED" });
  await expect(engine.queueNames()).rejects.toMatchObject({ code: "EMBEDDED_CLOSED" });
});

test("close stores what was called before it", async () => {
  const url = `embedded:${newFolder()}`;
  const first = openEngine(url);
  await first.connect();
  const queue = first.openQueue("some.loop");
  const added = [1, 2, 3].map((n) => queue.add("job", { n }));
  await Promise.all(added);
  await queue.close();
  await first.close();
  const second = openEngine(url);
  await second.connect();
  const again = second.openQueue("some.loop");
  expect(await again.getWaitingCount()).toBe(3);
  await again.close();
  await second.close();
});

test("when the database thread dies, the worker and its waiters end with the reason", async () => {
  const folder = newFolder();
  const engine = openEngine(`embedded:${folder}`);
  const worker = new TaskWorker({ engine, tasks: [hold], drain: 0, threads: 1 });
  const running = worker.run();
  await worker.ready();
  const queue = new TaskQueue({ engine });
  const pending = queue.submit(hold, join(folder, "ledger"));
  await pending.sent();
  // A second connection by another name: the thread has a peer, to which it cannot send a bigint.
  symlinkSync(folder, `${folder}-link`);
  const peer = openEngine(`embedded:${folder}-link`);
  await peer.connect();
  const database = Database.use({ path: join(folder, "taskloom.sqlite"), sync: "full" });
  // It is sent again until the thread has met its peer.
  const isDead = (): boolean => {
    database.post("channel", 1n as unknown as string);
    return database.ended !== undefined;
  };
  await expect.poll(isDead, { timeout: 30_000 }).toBe(true);
  const crashed = { status: "rejected", reason: { code: "EMBEDDED_CRASHED" } };
  expect(await Promise.allSettled([pending, running])).toMatchObject([crashed, crashed]);
  expect(engine.downFor()).toBeGreaterThan(0);
  await expect(queue.submit(where)).rejects.toMatchObject({ code: "EMBEDDED_CRASHED" });
  await queue.close();
  await engine.close();
  await peer.close();
});
